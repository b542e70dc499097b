// Package admission is what stands between foreign writers and any Log, and between a Log and those who wait for news: the
// admission hooks of topics, what a produced batch must hold, and notifications.
//
// It deliberately knows neither how appends are ordered nor where they are kept.
package admission

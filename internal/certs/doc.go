// Package certs is a server's TLS certificate, from files that may be replaced while it runs.
//
// Whoever renews certificates (certbot, cert-manager) replaces the files; nobody has to tell the server. A handshake that
// comes more than a second after the last look has the files looked at again, and what has changed is read. New files
// that do not fit (a certificate without its key, in the midst of a renewal) leave the old ones in force, and are reported.
//
// Connections that are open keep the certificate that they began with.
//
// The package deliberately knows no port and no protocol.
package certs

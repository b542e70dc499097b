package kafka

import (
	"context"
	"regexp"
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

var softwareName = regexp.MustCompile(`^[a-zA-Z0-9](?:[a-zA-Z0-9\-.]*[a-zA-Z0-9])?$`)

// features are what a cluster has switched on, each at one level (KIP-584).
var features = []struct {
	name  string
	level int16
}{
	{"group.version", 1},       // consumer groups (KIP-848); clients look for version 1 of key 68, tools show this
	{"transaction.version", 2}, // clients that know it end each transaction with a new epoch (KIP-890 part 2)
}

// apiVersions tells which keys and versions we serve (KIP-35, KIP-511).
func (s *Server) apiVersions(_ context.Context, r *request, q *kmsg.ApiVersionsRequest) answer {
	a := kmsg.NewPtrApiVersionsResponse()
	if r.version >= 3 && (!softwareName.MatchString(q.ClientSoftwareName) || !softwareName.MatchString(q.ClientSoftwareVersion)) {
		a.ErrorCode = kerr.InvalidRequest.Code
		return answer{response: a}
	}
	for key, served := range apis {
		a.ApiKeys = append(a.ApiKeys, servedVersions(key, served))
	}
	// A supported feature whose lowest version is 0 must not be told before version 4 (KAFKA-17011).
	for _, f := range features {
		finalized := kmsg.NewApiVersionsResponseFinalizedFeature()
		finalized.Name, finalized.MaxVersionLevel, finalized.MinVersionLevel = f.name, f.level, f.level
		a.FinalizedFeatures, a.FinalizedFeaturesEpoch = append(a.FinalizedFeatures, finalized), 1
		if r.version >= 4 {
			supported := kmsg.NewApiVersionsResponseSupportedFeature()
			supported.Name, supported.MaxVersion = f.name, f.level
			a.SupportedFeatures = append(a.SupportedFeatures, supported)
		}
	}
	slices.SortFunc(a.ApiKeys, func(x, y kmsg.ApiVersionsResponseApiKey) int { return int(x.ApiKey) - int(y.ApiKey) })
	return answer{response: a}
}

func servedVersions(key int16, served api) kmsg.ApiVersionsResponseApiKey {
	k := kmsg.NewApiVersionsResponseApiKey()
	k.ApiKey, k.MinVersion, k.MaxVersion = key, served.min, served.max
	return k
}

// unsupportedApiVersions answers an ApiVersions of a version that we do not know: in version 0, which every client reads,
// with the range to choose from (KIP-511).
func unsupportedApiVersions(context.Context) (answer, error) {
	a := kmsg.NewPtrApiVersionsResponse()
	a.ErrorCode = kerr.UnsupportedVersion.Code
	a.ApiKeys = append(a.ApiKeys, servedVersions(apiVersionsKey, apis[apiVersionsKey]))
	return answer{response: a, oldest: true}, nil
}

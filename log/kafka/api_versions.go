package kafka

import (
	"context"
	"regexp"
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

var softwareName = regexp.MustCompile(`^[a-zA-Z0-9](?:[a-zA-Z0-9\-.]*[a-zA-Z0-9])?$`)

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
	// Clients that know it end each transaction with a new epoch (KIP-890 part 2). A supported feature whose lowest version is
	// 0 must not be told before version 4 (KAFKA-17011).
	feature := kmsg.NewApiVersionsResponseFinalizedFeature()
	feature.Name, feature.MaxVersionLevel, feature.MinVersionLevel = "transaction.version", 2, 2
	a.FinalizedFeatures, a.FinalizedFeaturesEpoch = append(a.FinalizedFeatures, feature), 1
	if r.version >= 4 {
		supported := kmsg.NewApiVersionsResponseSupportedFeature()
		supported.Name, supported.MaxVersion = "transaction.version", 2
		a.SupportedFeatures = append(a.SupportedFeatures, supported)
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

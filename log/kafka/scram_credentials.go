package kafka

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/log/access"
)

// scramMechanisms are the mechanisms by the numbers that the protocol gives them (KIP-554).
var scramMechanisms = map[int8]access.Mechanism{1: access.ScramSHA256, 2: access.ScramSHA512}

// describeScramCredentials tells the mechanisms and iterations of users, never their keys (KIP-554).
func (s *Server) describeScramCredentials(_ context.Context, _ *request, q *kmsg.DescribeUserSCRAMCredentialsRequest) answer {
	a := kmsg.NewPtrDescribeUserSCRAMCredentialsResponse()
	current := s.access.Current()
	names, times := []string{}, map[string]int{}
	for _, u := range q.Users {
		if times[u.Name]++; times[u.Name] == 1 {
			names = append(names, u.Name)
		}
	}
	if len(q.Users) == 0 {
		names = current.Users()
	}
	for _, name := range names {
		r := kmsg.NewDescribeUserSCRAMCredentialsResponseResult()
		r.User = name
		credentials := current.Credentials(name)
		switch {
		case times[name] > 1:
			r.ErrorCode, r.ErrorMessage = kerr.DuplicateResource.Code, message(fmt.Errorf("user %s stands in the request more than once", name))
		case len(credentials) == 0:
			r.ErrorCode, r.ErrorMessage = kerr.ResourceNotFound.Code, message(fmt.Errorf("there is no user %q", name))
		}
		for number, m := range scramMechanisms {
			if c, ok := credentials[m]; ok && r.ErrorCode == 0 {
				info := kmsg.NewDescribeUserSCRAMCredentialsResponseResultCredentialInfo()
				info.Mechanism, info.Iterations = number, int32(c.Iterations)
				r.CredentialInfos = append(r.CredentialInfos, info)
			}
		}
		a.Results = append(a.Results, r)
	}
	return answer{response: a}
}

// alterScramCredentials sets and removes credentials, each user's for itself. The client has salted the password.
func (s *Server) alterScramCredentials(ctx context.Context, _ *request, q *kmsg.AlterUserSCRAMCredentialsRequest) answer {
	var changes []access.CredentialChange
	faults, seen := map[string]error{}, map[access.CredentialChange]bool{}
	add := func(user string, number int8, credential *access.Credential, err error) {
		mechanism, known := scramMechanisms[number]
		one := access.CredentialChange{User: user, Mechanism: mechanism}
		switch {
		case !known:
			err = &fault{kerr.UnsupportedSaslMechanism, fmt.Sprintf("mechanism %d is not known", number)}
		case seen[one]:
			err = &fault{kerr.DuplicateResource, fmt.Sprintf("%s of user %s stands in the request more than once", mechanism, user)}
		}
		seen[one] = true
		if _, has := faults[user]; !has || err != nil {
			faults[user] = err
		}
		one.Credential = credential
		changes = append(changes, one)
	}
	for _, d := range q.Deletions {
		add(d.Name, d.Mechanism, nil, nil)
	}
	for _, u := range q.Upsertions {
		c, err := access.FromSalted(scramMechanisms[u.Mechanism], u.SaltedPassword, u.Salt, int(u.Iterations))
		add(u.Name, u.Mechanism, &c, err)
	}
	changes = slices.DeleteFunc(changes, func(c access.CredentialChange) bool { return faults[c.User] != nil })
	each, err := s.access.AlterCredentials(ctx, changes)
	for i, c := range changes {
		switch {
		case err != nil:
			faults[c.User] = err
		case each[i] != nil:
			faults[c.User] = each[i]
		}
	}
	a := kmsg.NewPtrAlterUserSCRAMCredentialsResponse()
	for _, user := range slices.Sorted(maps.Keys(faults)) {
		r := kmsg.NewAlterUserSCRAMCredentialsResponseResult()
		r.User = user
		if err := faults[user]; err != nil {
			r.ErrorCode, r.ErrorMessage = credentialCode(err), message(err)
		}
		a.Results = append(a.Results, r)
	}
	return answer{response: a}
}

func credentialCode(err error) int16 {
	switch {
	case errors.Is(err, access.ErrNoCredential):
		return kerr.ResourceNotFound.Code
	case errs.Is(err, errs.Invalid):
		var known *kerr.Error
		if !errors.As(err, &known) {
			return kerr.UnacceptableCredential.Code
		}
	}
	return errorCode(err)
}

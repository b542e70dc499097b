package schemas

import (
	"fmt"

	"github.com/miracledb/miracledb/internal/errs"
)

// Code is an error_code of Confluent's API.
type Code int

// The codes.
const (
	CodeSubjectNotFound       Code = 40401
	CodeVersionNotFound       Code = 40402
	CodeSchemaNotFound        Code = 40403
	CodeSubjectSoftDeleted    Code = 40404
	CodeSubjectNotSoftDeleted Code = 40405
	CodeVersionSoftDeleted    Code = 40406
	CodeVersionNotSoftDeleted Code = 40407
	CodeLevelNotSet           Code = 40408
	CodeModeNotSet            Code = 40409
	CodeIncompatible          Code = 409
	CodeInvalidSchema         Code = 42201
	CodeInvalidVersion        Code = 42202
	CodeInvalidLevel          Code = 42203
	CodeInvalidMode           Code = 42204
	CodeOperationNotPermitted Code = 42205
	CodeReferenceExists       Code = 42206
	CodeInvalidSubject        Code = 42208
	CodeStore                 Code = 50001
	CodeTimeout               Code = 50002
)

// Refusal is an error with its code.
type Refusal struct {
	Code    Code
	Message string
}

func (r *Refusal) Error() string { return r.Message }

// refuse makes the error of a refusal.
func refuse(c Code, format string, args ...any) error {
	r := &Refusal{c, fmt.Sprintf(format, args...)}
	kind := errs.Invalid
	switch {
	case c/100 == 404:
		kind = errs.NotFound
	case c == CodeIncompatible, c == CodeReferenceExists:
		kind = errs.Conflict
	case c == CodeOperationNotPermitted:
		kind = errs.Denied
	}
	return errs.New(kind, "%w", r)
}

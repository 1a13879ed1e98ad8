package domain

import (
	"errors"
	"fmt"
	"time"
)

// Code names a kind of refusal or failure. Codes are stable: clients see them as the last part of the problem
// type, and one table in api maps each to an HTTP status.
type Code string

// Refusals of an application.
const (
	CodeSoldOut    Code = "sold-out"
	CodeNotStarted Code = "not-started"
	CodePaused     Code = "paused"
	CodeEnded      Code = "ended"
	CodeRevoked    Code = "revoked"
)

// Refusals of a request as such.
const (
	CodeInvalidRequest   Code = "invalid-request"
	CodeUnauthorized     Code = "unauthorized"
	CodeForbidden        Code = "forbidden"
	CodeNotFound         Code = "not-found"
	CodeUnknownCampaign  Code = "unknown-campaign"
	CodeMethodNotAllowed Code = "method-not-allowed"
	CodeBodyTooLarge     Code = "body-too-large"
	CodeUnsupportedMedia Code = "unsupported-media-type"
	CodeConflict         Code = "conflict"
	CodeRateLimited      Code = "rate-limited"
)

// Failures that pass: the same request may be sent again.
const (
	// CodeGateClosed: Redis's state is missing or not the one that was verified; nobody is admitted until it is rebuilt.
	CodeGateClosed Code = "gate-closed"
	// CodeOverloaded: a bounded queue is full; the request was not looked at.
	CodeOverloaded Code = "overloaded"
	// CodeOutcomeUnknown: the store did not answer in time; the request may or may not have had its effect.
	CodeOutcomeUnknown Code = "outcome-unknown"
	// CodeUnavailable: a store is away, and the request certainly had no effect.
	CodeUnavailable Code = "unavailable"
)

// Outcomes between the roles and the stores that no client sees.
const (
	// CodeEpochChanged: the gate was rebuilt since the admission; ask it again.
	CodeEpochChanged Code = "epoch-changed"
	// CodeRowRefused: the database refuses this very row; others may be fine.
	CodeRowRefused Code = "row-refused"
	// CodeRecordRefused: Kafka refuses this very record for good, and it is not on the topic; others may be fine.
	CodeRecordRefused Code = "record-refused"
	// CodeLeaseLost: somebody else has taken the fail event over.
	CodeLeaseLost Code = "lease-lost"
	// CodeOvertaken: a newer rebuild has begun.
	CodeOvertaken Code = "overtaken"
	// CodeInternal: a defect of ours.
	CodeInternal Code = "internal"
)

// Error is a code for programs and a message for a person.
type Error struct {
	Code    Code
	Message string
	// Field names the part of the request that is wrong; empty when none is.
	Field string
	// RetryAfter is how long a client should wait before it asks again; 0 says nothing about it.
	RetryAfter time.Duration
	// Cause is what a driver said; it goes to logs, never to applicants.
	Cause error
}

// Error gives the code, the message and the cause, for logs.
func (e *Error) Error() string {
	text := string(e.Code) + ": " + e.Message
	if e.Cause != nil {
		text += ": " + e.Cause.Error()
	}
	return text
}

// Unwrap gives the driver's error, for errors.Is and errors.As.
func (e *Error) Unwrap() error { return e.Cause }

// Errorf makes an Error from a code and a message.
func Errorf(code Code, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

// Wrap makes an Error from a code, a message and the driver's error that caused it.
func Wrap(code Code, cause error, message string) *Error {
	return &Error{Code: code, Message: message, Cause: cause}
}

// Invalid makes a CodeInvalidRequest error that names the field.
func Invalid(field, format string, args ...any) *Error {
	return &Error{Code: CodeInvalidRequest, Field: field, Message: fmt.Sprintf(format, args...)}
}

// CodeOf gives the code of the first Error in err's chain; CodeInternal when there is none, "" for nil.
func CodeOf(err error) Code {
	if err == nil {
		return ""
	}
	if coded, ok := errors.AsType[*Error](err); ok {
		return coded.Code
	}
	return CodeInternal
}

// IsTransient says whether the same call may succeed later although nothing about it changes: a store is away,
// busy or closed. What is not transient is a refusal, and repeating it gives the same answer.
func IsTransient(err error) bool {
	switch CodeOf(err) {
	case CodeGateClosed, CodeOverloaded, CodeOutcomeUnknown, CodeUnavailable:
		return true
	}
	return false
}

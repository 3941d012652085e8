package api

import (
	"context"
	"errors"
	"io/fs"

	"github.com/anonymous-media-library/aml/blobnet"
	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/codec"
	"github.com/anonymous-media-library/aml/node"
	"github.com/anonymous-media-library/aml/plugins"
)

// Error is how a failure crosses the API, and what --json prints of it.
type Error struct {
	Code    Code   `json:"code"`
	Message string `json:"message"`
}

func (e *Error) Error() string { return e.Message }

// Code sorts errors by what a script would do about them. The command line
// makes an exit code of each.
type Code string

// The codes, with the exit code of each.
const (
	CodeFailure     Code = "failure"             // 1
	CodeUsage       Code = "usage"               // 2
	CodeNoDaemon    Code = "no-daemon"           // 3
	CodeNotFound    Code = "not-found"           // 4
	CodeVerify      Code = "verification-failed" // 5
	CodeInterrupted Code = "interrupted"         // 130
)

// ErrNoDaemon: the command needs a running node on this home and there is none.
var ErrNoDaemon = &Error{Code: CodeNoDaemon, Message: "no aml daemon runs on this home; start one with `aml daemon`"}

// verification are the errors that mean: these bytes are not what was asked
// for, or were not signed by who may.
var verification = []error{
	blobnet.ErrCorrupt, codec.ErrSealed, codec.ErrPadding, codec.ErrIndex, codec.ErrHash,
	channel.ErrSignature, channel.ErrNotAuthorized, channel.ErrChain,
	plugins.ErrChanged,
}

func toError(err error) *Error {
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	return &Error{Code: codeOf(err), Message: err.Error()}
}

func orNil(err error) error {
	if err == nil {
		return nil
	}
	return toError(err)
}

func codeOf(err error) Code {
	for _, v := range verification {
		if errors.Is(err, v) {
			return CodeVerify
		}
	}
	switch {
	case errors.Is(err, node.ErrUsage):
		return CodeUsage
	case errors.Is(err, fs.ErrNotExist):
		return CodeNotFound
	case errors.Is(err, context.Canceled):
		return CodeInterrupted
	}
	return CodeFailure
}

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/anonymous-media-library/aml/node/api"
)

// exitCodes are the ones that the README names.
var exitCodes = map[api.Code]int{
	api.CodeFailure: 1, api.CodeUsage: 2, api.CodeNoDaemon: 3,
	api.CodeNotFound: 4, api.CodeVerify: 5, api.CodeInterrupted: 130,
}

// onlyStop reports whether err says nothing but that ctx ended.
func onlyStop(ctx context.Context, err error) bool {
	if many, ok := err.(interface{ Unwrap() []error }); ok {
		for _, e := range many.Unwrap() {
			if !onlyStop(ctx, e) {
				return false
			}
		}
		return true
	}
	var e *api.Error
	if errors.As(err, &e) && e.Code == api.CodeInterrupted {
		return true
	}
	return errors.Is(err, context.Canceled) || errors.Is(err, context.Cause(ctx))
}

func (a *app) codeOf(err error) api.Code {
	var e *api.Error
	switch {
	case errors.As(err, &e):
		if _, ok := exitCodes[e.Code]; ok {
			return e.Code
		}
	case strings.HasPrefix(err.Error(), "unknown command"):
		return api.CodeUsage
	case errors.Is(err, os.ErrNotExist):
		return api.CodeNotFound
	}
	return api.CodeFailure
}

func (a *app) printError(code api.Code, err error) {
	if code == api.CodeInterrupted {
		err = errors.New("interrupted")
	}
	if a.json {
		line, _ := json.Marshal(api.Error{Code: code, Message: err.Error()})
		fmt.Fprintf(a.err, "%s\n", line)
		return
	}
	fmt.Fprintf(a.err, "aml: %v\n", err)
}

// usage turns an error into one that also says where the help is.
func usage(cmd *cobra.Command, err error) error {
	return usageError("%v\nSee `%s --help`.", err, cmd.CommandPath())
}

// badFlag says what a flag wants instead of what a parser of numbers met.
func badFlag(cmd *cobra.Command, err error) error {
	bad, ok := errors.AsType[*pflag.InvalidValueError](err)
	if !ok {
		return usage(cmd, err)
	}
	flag, wants := bad.GetFlag(), ""
	switch flag.Value.Type() {
	case "int", "int64", "uint", "uint64":
		wants = "a whole number"
	case "bool":
		wants = "true or false"
	case "duration":
		wants = "a duration such as 90s, 10m or 36h"
	default: // says it itself
		return usage(cmd, err)
	}
	if errors.Is(err, strconv.ErrRange) {
		wants += " that is not so large"
	}
	return usage(cmd, fmt.Errorf("--%s %q: want %s", flag.Name, bad.GetValue(), wants))
}

func usageError(format string, args ...any) error {
	return &api.Error{Code: api.CodeUsage, Message: fmt.Sprintf(format, args...)}
}

package sdk

import (
	"context"
	"errors"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	pluginv1 "github.com/anonymous-media-library/aml/plugins/proto/aml/plugin/v1"
)

// A status that somebody's server gave to the author must not look like one of a process
// that breaks the protocol.
func TestAnErrorIsSaidWithoutTheStatusThatItHas(t *testing.T) {
	quota := status.Error(codes.ResourceExhausted, "quota \xff"+strings.Repeat("x", 1<<20))
	once := func(method string) error {
		_, err := saidOnce(t.Context(), nil, &grpc.UnaryServerInfo{FullMethod: method}, func(context.Context, any) (any, error) { return nil, quota })
		return err
	}
	stream := func(method string) error {
		return saidOfStream(nil, nil, &grpc.StreamServerInfo{FullMethod: method}, func(any, grpc.ServerStream) error { return quota })
	}
	for name, err := range map[string]error{"a call": once(pluginv1.Signer_Sign_FullMethodName), "a stream": stream(pluginv1.Observer_Observe_FullMethodName)} {
		got := status.Convert(err)
		if got.Code() != codes.Unknown || !strings.Contains(got.Message(), "quota ?") || len(got.Message()) > maxSaid+10 {
			t.Errorf("%s: %s, %.100q", name, got.Code(), got.Message())
		}
	}
	if err := once("/plugin.GRPCController/Shutdown"); !errors.Is(err, quota) {
		t.Errorf("a service of go-plugin: %v", err)
	}
	if err := said(nil); err != nil {
		t.Error(err)
	}
}

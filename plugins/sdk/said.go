package sdk

import (
	"context"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	pluginv1 "github.com/anonymous-media-library/aml/plugins/proto/aml/plugin/v1"
)

// maxSaid is how much of an error is said: more does not fit where gRPC says it.
const maxSaid = 2048

// said is an author's error as the host gets it. Its status, if it has one, such as
// that of somebody's server, is none of this call: some codes mean that the process
// has broken the protocol.
func said(err error) error {
	if err == nil {
		return nil
	}
	text := err.Error()
	if len(text) > maxSaid {
		text = text[:maxSaid] + "..."
	}
	return status.Error(codes.Unknown, strings.ToValidUTF8(text, "?"))
}

// ours are the services of aml, beside which there are those of go-plugin.
func ours(method string) bool {
	return strings.HasPrefix(method, "/"+strings.TrimSuffix(pluginv1.Plugin_ServiceDesc.ServiceName, "Plugin"))
}

func saidOnce(ctx context.Context, req any, info *grpc.UnaryServerInfo, do grpc.UnaryHandler) (any, error) {
	res, err := do(ctx, req)
	if err != nil && ours(info.FullMethod) {
		return nil, said(err)
	}
	return res, err
}

func saidOfStream(srv any, stream grpc.ServerStream, info *grpc.StreamServerInfo, do grpc.StreamHandler) error {
	err := do(srv, stream)
	if err != nil && ours(info.FullMethod) {
		return said(err)
	}
	return err
}

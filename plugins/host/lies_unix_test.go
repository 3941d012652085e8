//go:build unix

package host

import (
	"context"
	"errors"
	"io"
	"slices"
	"testing"
	"time"

	"github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"

	"github.com/anonymous-media-library/aml/blobnet"
	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/plugins"
	pluginv1 "github.com/anonymous-media-library/aml/plugins/proto/aml/plugin/v1"
)

// lies are the hooks of a plugin that says what no SDK would.
var lies = []plugins.Hook{plugins.FilterManifest, plugins.Source, plugins.Mirror, plugins.Render, plugins.Sign, plugins.Observe}

type liar struct {
	plugin.NetRPCUnsupportedPlugin
	pluginv1.UnimplementedPluginServer
	pluginv1.UnimplementedFilterServer
	pluginv1.UnimplementedSourceServer
	pluginv1.UnimplementedMirrorServer
	pluginv1.UnimplementedRendererServer
	pluginv1.UnimplementedSignerServer
	pluginv1.UnimplementedObserverServer
}

func lie() {
	plugin.Serve(&plugin.ServeConfig{
		HandshakeConfig: plugin.HandshakeConfig{ProtocolVersion: plugins.Protocol, MagicCookieKey: plugins.CookieKey, MagicCookieValue: plugins.CookieValue},
		Plugins:         plugin.PluginSet{"aml": liar{}},
		GRPCServer:      plugin.DefaultGRPCServer,
	})
}

func (liar) GRPCClient(context.Context, *plugin.GRPCBroker, *grpc.ClientConn) (any, error) {
	return nil, nil
}

func (l liar) GRPCServer(_ *plugin.GRPCBroker, s *grpc.Server) error {
	pluginv1.RegisterPluginServer(s, l)
	pluginv1.RegisterFilterServer(s, l)
	pluginv1.RegisterSourceServer(s, l)
	pluginv1.RegisterMirrorServer(s, l)
	pluginv1.RegisterRendererServer(s, l)
	pluginv1.RegisterSignerServer(s, l)
	pluginv1.RegisterObserverServer(s, l)
	return nil
}

func (liar) Describe(context.Context, *pluginv1.DescribeRequest) (*pluginv1.DescribeResponse, error) {
	res := &pluginv1.DescribeResponse{Id: "tested", Version: "1.0.0"}
	for _, r := range plugins.Rules() {
		if slices.Contains(lies, r.Hook) {
			res.Hooks = append(res.Hooks, r.Proto)
		}
	}
	return res, nil
}

func (liar) Configure(context.Context, *pluginv1.ConfigureRequest) (*pluginv1.ConfigureResponse, error) {
	return &pluginv1.ConfigureResponse{}, nil
}

// FilterManifest has a verdict for the first release alone.
func (liar) FilterManifest(context.Context, *pluginv1.FilterManifestRequest) (*pluginv1.FilterManifestResponse, error) {
	return &pluginv1.FilterManifestResponse{Verdicts: []*pluginv1.FilterVerdict{{Decision: pluginv1.Decision_DECISION_ALLOW}}}, nil
}

// Open never ends, and brings nothing.
func (liar) Open(_ *pluginv1.OpenRequest, stream grpc.ServerStreamingServer[pluginv1.OpenResponse]) error {
	for {
		if err := stream.Send(&pluginv1.OpenResponse{}); err != nil {
			return err
		}
	}
}

// Has has one blob more than it was asked about.
func (liar) Has(_ context.Context, req *pluginv1.HasRequest) (*pluginv1.HasResponse, error) {
	return &pluginv1.HasResponse{Has: make([]bool, len(req.Ids)+1)}, nil
}

// Get never ends.
func (liar) Get(_ *pluginv1.GetRequest, stream grpc.ServerStreamingServer[pluginv1.GetResponse]) error {
	for {
		if err := stream.Send(&pluginv1.GetResponse{Data: make([]byte, 1<<20)}); err != nil {
			return err
		}
	}
}

// Render never ends.
func (liar) Render(stream grpc.BidiStreamingServer[pluginv1.RenderRequest, pluginv1.RenderResponse]) error {
	for {
		if err := stream.Send(&pluginv1.RenderResponse{MediaType: "text/plain", Data: make([]byte, 3<<20)}); err != nil {
			return err
		}
	}
}

func (liar) PublicKeys(context.Context, *pluginv1.PublicKeysRequest) (*pluginv1.PublicKeysResponse, error) {
	return &pluginv1.PublicKeysResponse{Keys: [][]byte{make([]byte, 31)}}, nil
}

// Observe has dealt with what it is going to get.
func (liar) Observe(stream grpc.BidiStreamingServer[pluginv1.ObserveRequest, pluginv1.ObserveResponse]) error {
	e, err := stream.Recv()
	if err == nil {
		err = stream.Send(&pluginv1.ObserveResponse{Cursor: e.Cursor + 1000})
	}
	if err == nil {
		<-stream.Context().Done()
	}
	return err
}

// Each lie is no answer, and ends the process.
func TestAnAnswerThatIsNoneEndsTheProcess(t *testing.T) {
	t.Parallel()
	// The deadline is short, as one lie is never to end; the others have an answer at once, or count
	// as late, which is no less.
	x := run(t, options{kind: "lies", host: func(c *Config) {
		c.Backoff = make([]time.Duration, 100)
		c.Deadline = func(r plugins.Rule) time.Duration {
			if r.Hook == plugins.Source {
				return 300 * time.Millisecond
			}
			return time.Minute
		}
	}})
	ctx := t.Context()
	filter := func() error {
		v, err := x.Filter(ctx, release("1.0", channel.Update), release("2.0", channel.Update))
		if err == nil && v[0].Failed && v[0].Decision == plugins.Quarantine && v[1].Failed {
			err = plugins.ErrFailed
		}
		return err
	}
	for i, test := range []struct {
		name string
		ask  func() error
	}{
		{"one verdict on two releases", filter},
		{"two answers on one blob", func() error { _, err := x.HasBlobs(ctx, "tested", []blobnet.ID{{1}}); return err }},
		{"a blob without an end", func() error { _, err := x.Get(ctx, "tested", blobnet.ID{1}); return err }},
		{"a document without an end", func() error {
			_, _, err := x.Render(ctx, "tested", View{Releases: func(func(Release, error) bool) {}})
			return err
		}},
		{"a key of 31 bytes", func() error { _, err := x.PublicKeys(ctx, "tested"); return err }},
	} {
		if err := test.ask(); !errors.Is(err, plugins.ErrFailed) {
			t.Errorf("%s: %v", test.name, err)
		}
		eventually(t, test.name+" is a failure", func() bool { return x.Status()[0].Failures == i+1 })
	}
	if err := x.Open(ctx, "tested", "h", 0, 1<<20, io.Discard); !errors.Is(err, errLate) {
		t.Errorf("a file without an end and bytes: %v", err)
	}
	before := x.Status()[0].Failures
	x.Observed("one", 1)
	eventually(t, "a cursor of what it has not got is a failure", func() bool { return x.Status()[0].Failures > before })
	if s := x.Status()[0]; s.Observed > 1 {
		t.Errorf("the lie is kept: %d", s.Observed)
	}
}

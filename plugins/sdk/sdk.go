// Package sdk is for authors of plugins in Go: fill in a Plugin and call Serve.
//
//	func main() {
//		sdk.Serve(sdk.Plugin{ID: "no-cats", Version: "1.0.0", FilterManifest: filter})
//	}
//
//	func filter(_ context.Context, r *sdk.Release) (*sdk.Verdict, error) {
//		if strings.Contains(r.Title, "cat") {
//			return sdk.Deny("about cats"), nil
//		}
//		return sdk.Allow(), nil
//	}
//
// docs/plugins.md says when each hook is called, how long it may take, and what
// its failure means. Functions are called by many goroutines at once. What is
// written to standard error is in `aml plugin-logs`.
//
// It must never import more of aml than the vocabulary: a plugin is a small
// program.
package sdk

import (
	"context"
	"io"
	"iter"
	"os"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"

	"github.com/anonymous-media-library/aml/plugins"
	pluginv1 "github.com/anonymous-media-library/aml/plugins/proto/aml/plugin/v1"
)

// The words of the protocol.
type (
	Release     = pluginv1.Release
	Entry       = pluginv1.Entry
	Plan        = pluginv1.PlanFetchRequest
	PlanChange  = pluginv1.PlanChange
	ScanStart   = pluginv1.ScanStart
	Draft       = pluginv1.Draft
	DraftFile   = pluginv1.DraftFile
	Item        = pluginv1.SourceItem
	ItemFile    = pluginv1.SourceFile
	RenderStart = pluginv1.RenderStart
	Event       = pluginv1.ObserveRequest
	Verdict     = pluginv1.FilterVerdict
)

// Setup is what a plugin is told before anything else.
type Setup struct {
	Config map[string]string // with the defaults of plugin.yaml
	State  string            // a folder of its own, which stays
	Has    func(plugins.Capability) bool
}

// Plugin is what a plugin does. It has the hooks whose fields are set, which
// must be those of its plugin.yaml.
type Plugin struct {
	ID      string
	Version string

	// Configure is called once, before any hook. An error keeps the plugin from
	// being used, and is shown.
	Configure func(ctx context.Context, s Setup) error

	FilterManifest func(ctx context.Context, r *Release) (*Verdict, error)
	PlanFetch      func(ctx context.Context, p *Plan) ([]*PlanChange, error)

	// ScanContent may answer before it has read everything.
	ScanContent func(ctx context.Context, s *ScanStart, content io.Reader) (*Verdict, error)

	// BeforePublish may change the draft, whose channel is empty if it is founded by
	// this release. Its Earlier is what the channel has. A Denied error stops the
	// publication.
	BeforePublish func(ctx context.Context, channel string, d *Draft) error

	Source Source
	Mirror Mirror

	// Render writes a document of what the channel has, newest release first.
	Render func(ctx context.Context, s *RenderStart, releases iter.Seq2[*Release, error], w io.Writer) (mediaType string, err error)

	Signer Signer

	// Observe deals with one event after another. One for which it returned nil
	// does not come again.
	Observe func(ctx context.Context, e *Event) error
}

// Source brings things to publish.
type Source interface {
	// Poll yields what is new after the cursor, each item with the cursor after it,
	// and ends. from is what the operator has bound to a channel, such as a URL. A nil
	// item moves the cursor alone. What comes again is published once, by its id and
	// version.
	Poll(ctx context.Context, from string, cursor []byte, yield func(item *Item, cursor []byte) error) error
	// Open returns the bytes of a file of an item from an offset on.
	Open(ctx context.Context, handle string, offset int64) (io.ReadCloser, error)
}

// Mirror keeps sealed blobs. Those that are not there give fs.ErrNotExist.
type Mirror interface {
	Put(ctx context.Context, id [32]byte, size int64, data io.Reader) error
	Has(ctx context.Context, id [32]byte) (bool, error)
	Get(ctx context.Context, id [32]byte) (io.ReadCloser, error)
	Delete(ctx context.Context, id [32]byte) error
}

// Signer holds publishing keys.
type Signer interface {
	PublicKeys(ctx context.Context) ([][]byte, error)
	Sign(ctx context.Context, key, message []byte) ([]byte, error)
}

// Denied is an error of BeforePublish that says why a draft must not be
// published.
type Denied string

func (d Denied) Error() string { return string(d) }

// Allow lets a release or a file pass.
func Allow() *Verdict { return &Verdict{Decision: pluginv1.Decision_DECISION_ALLOW} }

// Deny refuses it, for good.
func Deny(reason string) *Verdict {
	return &Verdict{Decision: pluginv1.Decision_DECISION_DENY, Reason: reason}
}

// Quarantine refuses it for now: it is asked about again.
func Quarantine(reason string) *Verdict {
	return &Verdict{Decision: pluginv1.Decision_DECISION_QUARANTINE, Reason: reason}
}

// Mask lets a release pass but for the files of these names.
func Mask(names ...string) *Verdict {
	v := Allow()
	v.Mask = names
	return v
}

// maxRequest bounds what the host may send at once: a release of 4,096 files.
const maxRequest = 64 << 20

// Serve is the whole main of a plugin. It returns when the host is done with it.
func Serve(p Plugin) {
	go follow(os.Stdin)
	plugin.Serve(&plugin.ServeConfig{
		HandshakeConfig: plugin.HandshakeConfig{
			ProtocolVersion: plugins.Protocol, MagicCookieKey: plugins.CookieKey, MagicCookieValue: plugins.CookieValue,
		},
		Plugins: plugin.PluginSet{"aml": service{p: p}},
		GRPCServer: func(opts []grpc.ServerOption) *grpc.Server {
			return grpc.NewServer(append(opts, grpc.MaxRecvMsgSize(maxRequest), grpc.ChainUnaryInterceptor(saidOnce), grpc.ChainStreamInterceptor(saidOfStream),
				grpc.InitialWindowSize(4<<20), grpc.InitialConnWindowSize(8<<20), grpc.ReadBufferSize(256<<10), grpc.WriteBufferSize(256<<10))...)
		},
		Logger: hclog.New(&hclog.LoggerOptions{Level: hclog.Warn, Output: os.Stderr}),
	})
}

// follow ends the plugin when the host is gone: its end of this pipe is then.
func follow(stdin io.Reader) {
	if os.Getenv(plugins.CookieKey) != plugins.CookieValue {
		return // started by hand, which Serve says
	}
	_, _ = io.Copy(io.Discard, stdin)
	os.Exit(1)
}

// service registers what the plugin has.
type service struct {
	plugin.NetRPCUnsupportedPlugin
	p Plugin
}

func (service) GRPCClient(context.Context, *plugin.GRPCBroker, *grpc.ClientConn) (any, error) {
	return nil, nil // the host has its own
}

func (s service) GRPCServer(_ *plugin.GRPCBroker, srv *grpc.Server) error {
	Register(srv, s.p)
	return nil
}

// Register adds a plugin's services to a gRPC server. Serve does so; it is here
// for tests.
func Register(srv grpc.ServiceRegistrar, p Plugin) {
	pluginv1.RegisterPluginServer(srv, &about{p: p})
	if p.FilterManifest != nil {
		pluginv1.RegisterFilterServer(srv, filter{do: p.FilterManifest})
	}
	if p.PlanFetch != nil {
		pluginv1.RegisterPlannerServer(srv, planner{do: p.PlanFetch})
	}
	if p.ScanContent != nil {
		pluginv1.RegisterScannerServer(srv, scanner{do: p.ScanContent})
	}
	if p.BeforePublish != nil {
		pluginv1.RegisterGateServer(srv, gate{do: p.BeforePublish})
	}
	if p.Source != nil {
		pluginv1.RegisterSourceServer(srv, source{do: p.Source})
	}
	if p.Mirror != nil {
		pluginv1.RegisterMirrorServer(srv, mirror{do: p.Mirror})
	}
	if p.Render != nil {
		pluginv1.RegisterRendererServer(srv, renderer{do: p.Render})
	}
	if p.Signer != nil {
		pluginv1.RegisterSignerServer(srv, signer{do: p.Signer})
	}
	if p.Observe != nil {
		pluginv1.RegisterObserverServer(srv, observer{do: p.Observe})
	}
}

// Hooks are those whose fields are set.
func (p Plugin) Hooks() (out []pluginv1.Hook) {
	has := map[plugins.Hook]bool{
		plugins.FilterManifest: p.FilterManifest != nil, plugins.PlanFetch: p.PlanFetch != nil, plugins.ScanContent: p.ScanContent != nil,
		plugins.BeforePublish: p.BeforePublish != nil, plugins.Source: p.Source != nil, plugins.Mirror: p.Mirror != nil,
		plugins.Render: p.Render != nil, plugins.Sign: p.Signer != nil, plugins.Observe: p.Observe != nil,
	}
	for _, r := range plugins.Rules() {
		if has[r.Hook] {
			out = append(out, r.Proto)
		}
	}
	return out
}

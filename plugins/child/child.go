// Package child runs one plugin's process: starts it confined, shakes hands, and
// ends it with all that it has left behind.
//
// It is the only room that knows go-plugin on the host's side. A process may
// hang, exit, flood, lie and fork: whatever it does, Start and Stop return, and
// after Stop there is no process, socket, goroutine or file of it. It knows no
// hook.
package child

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/go-plugin"
	"github.com/hashicorp/go-plugin/runner"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/anonymous-media-library/aml/internal/disk"
	"github.com/anonymous-media-library/aml/plugins"
	"github.com/anonymous-media-library/aml/plugins/confine"
)

// maxAnswer bounds a message of the process, in bytes.
const maxAnswer = 4 << 20

// Config is what Start needs.
type Config struct {
	ID       string
	Spec     confine.Spec
	Env      []string // the whole environment, beside what the handshake needs
	Launcher []string // argv of a program that calls confine.Main; if empty, the plugin is started as it is
	Sockets  string   // folder for a socket, short, and private to the user

	Log io.Writer // what the process says; it must be quick

	StartTimeout time.Duration // if zero, 10 s
	StopTimeout  time.Duration // to end by itself when told; if zero, 2 s
}

// Child is a running process.
type Child struct {
	cfg    Config
	client *plugin.Client
	proc   *process
	conn   *grpc.ClientConn
	stop   sync.Once
}

// dispenser hands out the connection: services are made of it by who knows them.
type dispenser struct{ plugin.NetRPCUnsupportedPlugin }

func (dispenser) GRPCServer(*plugin.GRPCBroker, *grpc.Server) error {
	return errors.New("this is the host")
}

func (dispenser) GRPCClient(_ context.Context, _ *plugin.GRPCBroker, conn *grpc.ClientConn) (any, error) {
	return conn, nil
}

// Start starts the process and returns when it can be called. Errors wrap
// plugins.ErrFailed if it is the process that did wrong.
func Start(ctx context.Context, cfg Config) (*Child, error) {
	if cfg.StartTimeout == 0 {
		cfg.StartTimeout = 10 * time.Second
	}
	if cfg.StopTimeout == 0 {
		cfg.StopTimeout = 2 * time.Second
	}
	c, err := start(ctx, cfg, true)
	if errors.Is(err, errSpaces) {
		c, err = start(ctx, cfg, false) // not everybody may have namespaces
	}
	if err != nil {
		return nil, fmt.Errorf("starting plugin %s: %w", cfg.ID, err)
	}
	return c, nil
}

func start(ctx context.Context, cfg Config, spaces bool) (*Child, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, cfg.StartTimeout, fmt.Errorf("%w: it was not ready after %v", plugins.ErrFailed, cfg.StartTimeout))
	defer cancel()
	tlsConfig, cert, err := mutual()
	if err != nil {
		return nil, err
	}
	c := &Child{cfg: cfg, proc: newProcess(cfg, spaces)}
	c.client = plugin.NewClient(&plugin.ClientConfig{
		HandshakeConfig: plugin.HandshakeConfig{
			ProtocolVersion: plugins.Protocol, MagicCookieKey: plugins.CookieKey, MagicCookieValue: plugins.CookieValue,
		},
		Plugins: plugin.PluginSet{"aml": dispenser{}},
		RunnerFunc: func(_ hclog.Logger, given *exec.Cmd, sockets string) (runner.Runner, error) {
			c.proc.env, c.proc.sockets = append(given.Env, envClientCert+"="+cert), sockets
			return c.proc, nil
		},
		AllowedProtocols: []plugin.Protocol{plugin.ProtocolGRPC},
		TLSConfig:        tlsConfig,
		SkipHostEnv:      true,
		StartTimeout:     cfg.StartTimeout,
		Logger:           hclog.NewNullLogger(), // what matters comes back as errors
		SyncStdout:       cfg.Log,
		SyncStderr:       cfg.Log,
		UnixSocketConfig: &plugin.UnixSocketConfig{TempDir: cfg.Sockets},
		GRPCDialOptions: []grpc.DialOption{
			grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxAnswer), grpc.MaxCallSendMsgSize(64<<20)),
			grpc.WithMaxHeaderListSize(16 << 10),
			grpc.WithInitialWindowSize(4 << 20), grpc.WithInitialConnWindowSize(8 << 20),
			grpc.WithReadBufferSize(256 << 10), grpc.WithWriteBufferSize(256 << 10),
			grpc.WithStreamInterceptor(tame),
		},
	})
	ready := make(chan error, 1)
	go func() { ready <- c.connect() }()
	select {
	case err = <-ready:
	case <-ctx.Done():
		c.proc.end() // whatever waits for it then ends
		<-ready
		err = context.Cause(ctx)
	}
	if err != nil {
		c.Stop()
		return nil, err
	}
	return c, nil
}

// connect starts the process and calls it for the first time.
func (c *Child) connect() error {
	protocol, err := c.client.Client()
	if err != nil {
		if c.proc.failed != nil {
			return c.proc.failed // it did not even start
		}
		if disk.Exhausted(err) { // before it was started
			return err
		}
		return c.unready(err)
	}
	raw, err := protocol.Dispense("aml")
	if err != nil {
		return err
	}
	c.conn = raw.(*grpc.ClientConn)
	if err := protocol.Ping(); err != nil {
		return fmt.Errorf("%w: it does not answer: %s", plugins.ErrFailed, Said(err))
	}
	return nil
}

// unready says why the process cannot be called, in its own last words if it said any:
// it has been told nothing yet that would have to be kept secret. err is go-plugin's,
// which may have been quicker than the end of the process, and ends one that it does not
// understand.
func (c *Child) unready(err error) error {
	timer := time.NewTimer(2 * drainTime)
	defer timer.Stop()
	select {
	case <-c.proc.done:
	case <-timer.C: // it can be reached, and will not talk
	}
	select {
	case <-c.proc.done:
		if c.proc.byItself() {
			return fmt.Errorf("%w: it ended before it was ready: %w%s", plugins.ErrFailed, c.proc.ending(), c.proc.last.quote())
		}
	default:
	}
	what := Said(err)
	if line, garbage := strings.CutPrefix(what, unrecognized); garbage {
		what = fmt.Sprintf("it began with %q on standard output, where the handshake has to be", line)
		if line == "" {
			what = "it closed its standard output before it was ready"
		}
	}
	return fmt.Errorf("%w: %s%s", plugins.ErrFailed, what, c.proc.last.quote())
}

// unrecognized is how go-plugin begins to say that a handshake is none.
const unrecognized = "Unrecognized remote plugin message: "

// tame keeps from a plugin what aml has no use for: go-plugin's broker, whose
// messages cost the host a goroutine each. That a plugin has no stdio service is
// no error, whatever it says about it.
func tame(ctx context.Context, desc *grpc.StreamDesc, conn *grpc.ClientConn, method string, streamer grpc.Streamer, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	if strings.HasPrefix(method, "/plugin.GRPCBroker/") {
		return nil, status.Error(codes.Unimplemented, "aml has no broker")
	}
	s, err := streamer(ctx, desc, conn, method, opts...)
	if err != nil && strings.HasPrefix(method, "/plugin.") {
		err = status.Error(codes.Unavailable, err.Error())
	}
	return s, err
}

// Said makes an error that holds what a plugin has said fit for a log and a
// terminal: its first line, without control characters.
func Said(err error) string {
	text := err.Error()
	if answer, ok := err.(interface{ GRPCStatus() *status.Status }); ok {
		text = answer.GRPCStatus().Message() // without the words of the protocol
	}
	text, _, _ = strings.Cut(text, "\n")
	text = strings.Map(func(r rune) rune {
		if r < 0x20 || r >= 0x7f && r < 0xa0 || r >= 0x2028 && r <= 0x202e || r >= 0x2066 && r <= 0x2069 {
			return '?'
		}
		return r
	}, strings.ToValidUTF8(text, "?"))
	if len(text) > 300 {
		text = strings.ToValidUTF8(text[:300], "") + "..."
	}
	return text
}

// Conn is where its services are called. Calls end when the process does.
func (c *Child) Conn() grpc.ClientConnInterface { return c.conn }

// Folder is a folder that the process can read, and that is gone when it is.
func (c *Child) Folder() string { return c.proc.sockets }

// PID is the process's number.
func (c *Child) PID() int { return c.proc.pid() }

// Done is closed when the process has ended.
func (c *Child) Done() <-chan struct{} { return c.proc.done }

// Err says how the process ended; nil before that.
func (c *Child) Err() error {
	select {
	case <-c.proc.done:
		return c.proc.ending()
	default:
		return nil
	}
}

// Stop tells the process to end, ends it if it does not, and waits until it and
// all that it left behind are gone. It may be called again.
func (c *Child) Stop() {
	c.stop.Do(func() {
		timer := time.AfterFunc(c.cfg.StopTimeout, func() { c.proc.end() })
		c.client.Kill()
		timer.Stop()
		c.proc.end()
		if c.conn != nil {
			_ = c.conn.Close() // if go-plugin has not
		}
		if c.proc.sockets != "" {
			_ = os.RemoveAll(c.proc.sockets)
		}
	})
}

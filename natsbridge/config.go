package natsbridge

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/anonymous-media-library/aml/channel"
)

// Server says which NATS to connect to, and as whom.
type Server struct {
	// URLs of one server or of several of a cluster: nats://, tls://, ws:// or
	// wss://. A user or password in them is refused, since URLs are shown.
	URLs []string

	// Creds is a file of user credentials (a JWT and its seed), NKey one with a
	// seed alone. At most one is given.
	Creds, NKey string

	// CA is a file of certificates that sign the server's, beside the system's.
	CA string

	// Inbox is the prefix of the subjects on which answers come, where the account
	// allows no other; if empty, _INBOX.
	Inbox string

	// Local is a server in this process, in place of URLs.
	Local Local
}

// Local is a NATS server in this process.
type Local interface {
	InProcessConn() (net.Conn, error)
	Login() (user, password string)

	// Trouble says what keeps it from storing, and what to do; nil if nothing.
	Trouble() error
}

// Validate says what is wrong with it, without connecting.
func (s Server) Validate() error {
	if len(s.URLs) == 0 && s.Local == nil {
		return wrong("no NATS server is named")
	}
	if s.Creds != "" && s.NKey != "" {
		return wrong("credentials and an nkey; give one of them")
	}
	if len(s.URLs) == 0 && (s.Creds != "" || s.NKey != "" || s.CA != "") {
		return wrong("credentials without the URL of a server")
	}
	for _, u := range s.URLs {
		if err := checkURL(u); err != nil {
			return err
		}
	}
	if s.Inbox != "" && (len(s.Inbox) > 64 || strings.ContainsAny(s.Inbox, "*> \t\r\n") || strings.Trim(s.Inbox, ".") != s.Inbox) {
		return wrong("inbox %.64q: want a prefix of subjects, such as _INBOX_bridge", s.Inbox)
	}
	return nil
}

var schemes = []string{"nats", "tls", "ws", "wss"}

func checkURL(s string) error {
	u, err := url.Parse(s)
	if err != nil {
		return wrong("NATS URL: %s", withoutURL(err))
	}
	if u.User != nil { // before anything of it is said
		return wrong("NATS URL with a user or a password in it: give --creds or --nkey, URLs are shown")
	}
	if !slices.Contains(schemes, u.Scheme) || u.Hostname() == "" || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "" {
		return wrong("NATS URL %.200q: want nats://HOST:PORT, tls://, ws:// or wss://", s)
	}
	if port, err := strconv.ParseUint(u.Port(), 10, 16); (err != nil || port == 0) && (u.Port() != "" || strings.HasSuffix(u.Host, ":")) {
		return wrong("NATS URL %.200q: want a port of 1 to 65535", s)
	}
	return nil
}

// withoutURL is an error of url.Parse without the URL, which may hold a secret.
func withoutURL(err error) string {
	if e, ok := err.(*url.Error); ok {
		return e.Err.Error()
	}
	return "not a URL"
}

// Config is what New wants to know.
type Config struct {
	Server Server
	Ledger Ledger // required

	// Channels says which are bridged. It is asked again when the ledger changes
	// and every minute.
	Channels func(ctx context.Context) ([]channel.ID, error)

	// Tell passes on, to aml's own network, what came from NATS and moved the
	// ledger forward. If nil, nobody is told.
	Tell func(ctx context.Context, id channel.ID, envelopes ...[]byte) error

	// Sync asks aml's own network for what is missing. If nil, only the streams
	// are asked.
	Sync func(ctx context.Context, id channel.ID) error

	// Name tells this node from others in Aml-Origin: 1 to 64 of a-z, 0-9, - and _,
	// the same after a restart.
	Name string

	// Consumer is what its consumers are called, as Name; if empty, as Name says. Who
	// may make consumers on the streams, and knows it, takes what comes by them away.
	Consumer string

	Network  string // in all subjects; if empty, DefaultNetwork
	Replicas int    // of streams that have to be made; if zero, 1
	ReadOnly bool   // take what is there, and write nothing
	Submit   bool   // hand in on in.<channel> what the ledger has, and take nothing
	Trail    *Trail // shared with other bridges of this node; if nil, an own one

	// Retry is the first pause after a failure; it doubles up to 64 times of
	// that, and varies by half. If zero, 500 ms.
	Retry time.Duration

	// RepairInterval is how often channels that are behind are looked for in the
	// streams. If zero, 1 minute.
	RepairInterval time.Duration

	// OnEvent, if not nil, hears what happens. It must not block.
	OnEvent func(Event)
}

func (c *Config) validate() error {
	if c.Ledger == nil || c.Channels == nil {
		return wrong("no Ledger or no Channels")
	}
	if err := c.Server.Validate(); err != nil {
		return err
	}
	if !validName(c.Name) {
		return wrong("name %.80q", c.Name)
	}
	if c.Consumer == "" {
		c.Consumer = c.Name
	}
	if !validName(c.Consumer) {
		return wrong("consumer %.80q", c.Consumer)
	}
	if c.Network == "" {
		c.Network = DefaultNetwork
	}
	if err := ValidNetwork(c.Network); err != nil {
		return err
	}
	if c.Replicas < 0 || c.Replicas > 5 {
		return wrong("%d replicas: want 1 to 5", c.Replicas)
	}
	if c.ReadOnly && c.Submit {
		return wrong("a bridge that only reads hands nothing in")
	}
	if c.Retry < 0 || c.RepairInterval < 0 {
		return wrong("a negative interval")
	}
	if c.Replicas == 0 {
		c.Replicas = 1
	}
	if c.Trail == nil {
		c.Trail = NewTrail()
	}
	if c.Retry == 0 {
		c.Retry = 500 * time.Millisecond
	}
	if c.RepairInterval == 0 {
		c.RepairInterval = time.Minute
	}
	if c.OnEvent == nil {
		c.OnEvent = func(Event) {}
	}
	return nil
}

// EventKind says what an Event is about.
type EventKind string

// The kinds of events.
const (
	EventConnected    EventKind = "connected"    // to Server; streams are there
	EventDisconnected EventKind = "disconnected" // it is tried again without end
	EventSent         EventKind = "sent"         // Count statements of Channel were put into NATS
	EventTaken        EventKind = "taken"        // Count statements of Channel came from NATS and are in the ledger
	EventJunk         EventKind = "junk"         // what every honest node refuses was met, and taken out if it lay in a stream
	EventFailed       EventKind = "failed"       // it is tried again
)

// Event is something that happened; fields without meaning for its Kind are
// zero.
type Event struct {
	Kind    EventKind
	Server  string
	Channel channel.ID
	Count   int
	Err     error
}

// configError is an error that is also ErrConfig, without saying so in its text.
type configError struct{ error }

func (configError) Is(target error) bool { return target == ErrConfig }
func (e configError) Unwrap() error      { return e.error }

func wrong(format string, args ...any) error { return configError{fmt.Errorf(format, args...)} }

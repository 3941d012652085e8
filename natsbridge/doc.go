// Package natsbridge carries channels over NATS JetStream: roots, manifests,
// heads, snapshots of logs and proofs of forks go out as the signed bytes that they are, and what
// comes in is verified by the ledger exactly as what comes by gossip. The ledger
// is the truth; what lies in NATS is a cache that can be lost and is filled anew.
//
// Nothing of what NATS says of a message is believed: not its headers, not its
// subject, not that it is a duplicate. A message is passed on only if the local
// ledger moved forward by it, so that no cycle of bridges can turn a message
// twice. docs/nats.md is the text that says what lies under which subject.
//
// Blobs goes beside that: sealed blobs in the object store, for who reaches no peers.
//
// It is the one room that knows nats.go. It must never open what a private
// channel has sealed, decide what follows what, or hold a message back that the
// ledger has accepted.
package natsbridge

import (
	"context"
	"errors"

	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/channel/catalog"
	"github.com/anonymous-media-library/aml/channel/feed"
)

// Judge decides what becomes of envelopes, and has what it accepts on disk when
// it returns; see channel/catalog. OfferGossip is for what came unasked.
type Judge interface {
	OfferAll(ctx context.Context, envelopes [][]byte) ([]feed.Outcome, error)
	OfferGossip(ctx context.Context, envelope []byte) (feed.Outcome, error)
	OfferFork(ctx context.Context, id channel.ID, proof feed.Fork) (feed.Outcome, error)
}

// Past is what was accepted, as encoded envelopes in ascending order without
// gaps: at most maxItems of them, and maxBytes, but always at least one where
// there is one.
type Past interface {
	Roots(ctx context.Context, id channel.ID, from uint64, maxItems, maxBytes int) ([][]byte, error)
	Manifests(ctx context.Context, id channel.ID, log channel.PublicKey, from, to uint64, maxItems, maxBytes int) ([][]byte, error)
	Heads(ctx context.Context, id channel.ID) ([][]byte, error)
	Forks(ctx context.Context, id channel.ID) ([]feed.Fork, error)
}

// Index says how far a channel is known, and when that changes. An unknown one
// gives an error that wraps fs.ErrNotExist. What Watch is given must be quick.
type Index interface {
	Channel(ctx context.Context, id channel.ID) (catalog.Info, error)
	Watch(fn func(id channel.ID, kind feed.Kind)) (cancel func())
}

// Ledger is what this node knows of channels; *catalog.Catalog is one. All
// methods are called from many goroutines at once.
type Ledger interface {
	Judge
	Past
	Index
}

var (
	// ErrConfig: the bridge cannot be made from what was given.
	ErrConfig = errors.New("wrong bridge configuration")

	// ErrCredentials: the server does not let this user in.
	ErrCredentials = errors.New("NATS server does not let this user in; give one of its users with --creds or --nkey, or check those given, and the account's users on the server")

	// ErrRights: this user may not use a subject.
	ErrRights = errors.New("this NATS user has no rights on it: give it those of its part (docs/nats.md, accounts); a publisher without those of a bridge has bridge-nats --submit")

	// ErrInbox: this user may not hear answers where they would come.
	ErrInbox = errors.New("this NATS user hears its answers elsewhere: give the prefix that its account allows with --inbox, such as _INBOX_bridge")

	// ErrTLS: the server has no TLS, or a certificate that nobody known has signed.
	ErrTLS = errors.New("NATS server and URL do not agree on TLS: give a server without it as nats://, and with --ca who signs the certificate of one with it")

	// ErrSilent: the server gives no answer. It is tried again.
	ErrSilent = errors.New("NATS server does not answer or confirm: if its disk was full or cannot be written, free it and restart nats-server, since JetStream takes nothing more until then; in a cluster look whether there is a leader. Nothing is lost, it is tried again")

	// ErrNoJetStream: the server, or the account, has no JetStream.
	ErrNoJetStream = errors.New("NATS server has no JetStream for this account; start it with `jetstream {}` in its configuration (nats-server -js), or let the account use it")

	// ErrStream: a stream of that name is there and is another than the bridge needs.
	ErrStream = errors.New("stream is not as the bridge needs it")

	// ErrFull: the server has no room. Nothing is lost: the ledger has it all,
	// and it is tried again.
	ErrFull = errors.New("NATS server has no room: give its streams more (max_file_store, the account's limits) or free its disk; nothing is lost, it is tried again")

	// ErrTooLarge: the server takes no message of this size.
	ErrTooLarge = errors.New("NATS server takes no message of this size: raise max_payload to 1MB")
)

package node

import "github.com/anonymous-media-library/aml/subscriber"

// Events are what a running request tells on the way. Each is one line of
// NDJSON with --json, told apart by its "event" field.

// ListeningEvent ("listening") is the first thing that whatever serves says.
type ListeningEvent struct {
	Event  string   `json:"event"`
	PeerID string   `json:"peerId"`
	Addrs  []string `json:"addrs"`          // multiaddrs, each ending in /p2p/PEERID
	URLs   []string `json:"urls,omitempty"` // of the WebSocket bridge and the HTTP mirror
}

// UploadEvent ("upload") says what a peer got from this node within a second.
type UploadEvent struct {
	Event string `json:"event"`
	Peer  string `json:"peer"`
	Blobs int64  `json:"blobs"`
	Size  int64  `json:"size"` // bytes, of all of them
}

// PeerEvent ("peer") says that a peer was found unreachable or misbehaved.
type PeerEvent struct {
	Event   string `json:"event"`
	Peer    string `json:"peer"`
	State   string `json:"state"` // unreachable, misbehaved
	Message string `json:"message,omitempty"`
}

// LateEvent ("late") is the alarm that announcing falls behind; it comes at most
// once an hour.
type LateEvent struct {
	Event   string `json:"event"`
	Keys    int    `json:"keys"` // an hour or more behind their time
	Message string `json:"message"`
}

// ChannelEvent ("channel") says that a subscription to a topic found a channel.
type ChannelEvent struct {
	Event   string `json:"event"`
	Channel string `json:"channel"`
	Address string `json:"address"`
	Title   string `json:"title"`
	Topic   string `json:"topic"`
	Trusted bool   `json:"trusted"` // and therefore followed
}

// EndedEvent ("unsubscribed") is the last of a subscription that was ended by
// another request.
type EndedEvent struct {
	Event  string `json:"event"`
	Target string `json:"target"`
}

// ErrorEvent ("error") is a failure that does not end the request. The error
// events of a followed channel, which name the release and say what was
// skipped, have the same name and fields.
type ErrorEvent struct {
	Event   string `json:"event"`
	Channel string `json:"channel,omitempty"`
	Message string `json:"message"`
	Retry   bool   `json:"retry"` // it will be tried again without anybody having to do something
}

// WarningEvent says what the user has to know before a request is carried out: it
// is all the same.
type WarningEvent struct {
	Event   string `json:"event"`
	Channel string `json:"channel,omitempty"`
	Message string `json:"message"`
}

// What a followed channel does; see subscriber.
type (
	ManifestEvent = subscriber.ManifestEvent
	ProgressEvent = subscriber.ProgressEvent // also of ingesting and fetching: all files together, without a channel
	FileEvent     = subscriber.FileEvent
	RemovedEvent  = subscriber.RemovedEvent
	KeptEvent     = subscriber.KeptEvent
	PassedEvent   = subscriber.PassedEvent
	WaitingEvent  = subscriber.WaitingEvent
	HeldEvent     = subscriber.HeldEvent
	MirroredEvent = subscriber.MirroredEvent
)

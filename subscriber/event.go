package subscriber

import (
	"github.com/anonymous-media-library/aml/blobnet"
	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/codec"
)

// Event is what Follow tells: a ManifestEvent, ProgressEvent, FileEvent,
// RemovedEvent, KeptEvent, MirroredEvent, PassedEvent, WaitingEvent, HeldEvent or ErrorEvent. In JSON the field "event" tells them apart.
//
// After a crash, or an error that ends Follow, a release whose cursor had not
// moved is told again from its ManifestEvent on.
type Event interface{ event() }

// ManifestEvent ("manifest"): a release is being applied. Those of one log come
// in the order of their numbers.
type ManifestEvent struct {
	Event       string            `json:"event"`
	Channel     channel.ID        `json:"channel"`
	Log         channel.PublicKey `json:"log"`
	Seq         uint64            `json:"seq"`
	Hash        channel.Hash      `json:"hash"`
	Issued      channel.Time      `json:"issued"`
	Title       string            `json:"title,omitempty"`
	Description string            `json:"description,omitempty"`
	Metadata    map[string]string `json:"metadata,omitempty"`
	Entries     int               `json:"entries"`
	Removals    int               `json:"removals"`
	Bytes       uint64            `json:"bytes"` // of plaintext
}

// FileEvent ("file"): a file is complete, verified and under its name. Those of
// one release come in the order of names.
type FileEvent struct {
	Event     string            `json:"event"`
	Channel   channel.ID        `json:"channel"`
	Log       channel.PublicKey `json:"log"`
	Seq       uint64            `json:"seq"`
	Name      string            `json:"name"`
	Size      uint64            `json:"size"`
	SHA256    codec.Hash        `json:"sha256"`
	Path      string            `json:"path"`
	Root      blobnet.ID        `json:"root"`      // the file's root blob, which can be announced
	FromStore uint64            `json:"fromStore"` // bytes that this node had
	FromPeers uint64            `json:"fromPeers"` // bytes that peers sent; both 0 if the file was there already
}

// RemovedEvent ("removed"): a file that the channel removed or took back was
// deleted, or one that the subscription does not keep.
type RemovedEvent struct {
	Event   string            `json:"event"`
	Channel channel.ID        `json:"channel"`
	Log     channel.PublicKey `json:"log"`
	Seq     uint64            `json:"seq"`
	Name    string            `json:"name"`
	Path    string            `json:"path"`
	Reason  string            `json:"reason,omitempty"` // the channel's, which may be empty, or why it is not kept
}

// PassedEvent ("passed"): something was left out by the subscription's policy,
// and nothing of it is fetched; or nobody who can be asked has it; or it takes long,
// others have their turn, and it goes on after them.
type PassedEvent struct {
	Event   string            `json:"event"`
	Channel channel.ID        `json:"channel"`
	Log     channel.PublicKey `json:"log"`
	Seq     uint64            `json:"seq"`
	Name    string            `json:"name,omitempty"` // empty: all files of the release
	Files   int               `json:"files"`          // 0: the release cannot be read
	Bytes   uint64            `json:"bytes"`          // of plaintext
	Reason  string            `json:"reason"`         // the policy's field, or another of package policy
	Message string            `json:"message"`
}

// WaitingEvent ("waiting"): it is not the hour at which the subscription may do
// something.
type WaitingEvent struct {
	Event   string       `json:"event"`
	Channel channel.ID   `json:"channel"`
	Until   channel.Time `json:"until"`
}

// KeptEvent ("kept"): a file that the channel removed or replaced is not what
// the channel had published under that name, so that it is somebody else's work
// and was not deleted.
type KeptEvent struct {
	Event   string            `json:"event"`
	Channel channel.ID        `json:"channel"`
	Log     channel.PublicKey `json:"log"`
	Seq     uint64            `json:"seq"`
	Name    string            `json:"name"`
	Path    string            `json:"path"` // where it is now
	Message string            `json:"message"`
}

// ProgressEvent ("progress") counts bytes of plaintext. Follow tells of a file
// of 8 MiB or more while it comes, at most twice a second and never after its
// FileEvent; that it is complete is for that to say.
type ProgressEvent struct {
	Event   string     `json:"event"`
	Channel channel.ID `json:"channel,omitzero"`
	Name    string     `json:"name,omitempty"` // the file that it is about
	Done    uint64     `json:"done"`
	Total   uint64     `json:"total"`
	Local   uint64     `json:"local,omitempty"` // of Done, what this node had already
}

// ErrorEvent ("error"): something was skipped and will not be tried again.
type ErrorEvent struct {
	Event   string            `json:"event"`
	Channel channel.ID        `json:"channel"`
	Log     channel.PublicKey `json:"log"`
	Seq     uint64            `json:"seq"`
	Name    string            `json:"name,omitempty"`
	Message string            `json:"message"`
	Retry   bool              `json:"retry"` // false; a node's own error events have the field, too
}

func (ManifestEvent) event() {}
func (FileEvent) event()     {}
func (RemovedEvent) event()  {}
func (KeptEvent) event()     {}
func (PassedEvent) event()   {}
func (WaitingEvent) event()  {}
func (ProgressEvent) event() {}
func (ErrorEvent) event()    {}

package wsbridge

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"

	"github.com/anonymous-media-library/aml/blobnet"
)

// Kind is what an Event tells of.
type Kind uint8

// The kinds of events: the four of seed document 001, and misbehaviour.
const (
	KindPeer         Kind = iota + 1 // Peer greeted: PeerID
	KindUpload                       // a blob was sent to Peer, or with Err not to its end: ID, Bytes
	KindDownload                     // a blob came from Peer and is the right one: ID, Bytes
	KindHave                         // Peer says that it has IDs
	KindMisbehaviour                 // Peer did what no honest peer does: Err, and ID and Bytes if it was about one blob
)

var eventNames = [...]string{"", "peer", "upload", "download", "have", "misbehaviour"}

func (k Kind) String() string {
	if k > 0 && int(k) < len(eventNames) {
		return eventNames[k]
	}
	return fmt.Sprintf("kind %d", uint8(k))
}

// Event is one thing that happened.
type Event struct {
	Kind   Kind
	Peer   string // IP:port of who connected, or the Name of a Peer
	PeerID string // what the peer calls itself; anybody may say anything
	ID     blobnet.ID
	IDs    []blobnet.ID // KindHave; the receiver's to keep
	Bytes  int64        // bytes of the blob that were moved
	Err    error
}

func randomPeerID() string {
	b := make([]byte, 20)
	rand.Read(b) // never fails
	return hex.EncodeToString(b)
}

package wsbridge

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/anonymous-media-library/aml/blobnet"
)

// kind is a message's type, as seed document 001 numbers them.
type kind uint32

const (
	kindHandshake kind = iota
	kindHandshakeAck
	kindRequest
	kindResponse // binary
	kindHave
	kindWant
	kindNotFound
	kindError
)

var kindNames = [...]string{"HANDSHAKE", "HANDSHAKE_ACK", "REQUEST", "RESPONSE", "HAVE", "WANT", "NOT_FOUND", "ERROR"}

func (k kind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return fmt.Sprintf("type %d", uint32(k))
}

// Limits of messages, in bytes but for maxIDs.
const (
	version = 1
	// maxIDs is how many ids a HAVE or WANT holds.
	maxIDs = 1024
	// maxText is the longest text message: more than 1,024 ids take.
	maxText = 128 << 10
	// maxSkipped is the longest text message that is read and thrown away
	// from a node that this one dialled: older ones tell all they have at
	// once.
	maxSkipped = 16 << 20
	// headSize is what stands before the data of a RESPONSE.
	headSize = 1 + 4 + 32
	// maxBinary is the longest binary message.
	maxBinary = headSize + blobnet.MaxBlobSize
	// maxPeerID is how many characters a peer's name for itself may have.
	maxPeerID = 128
	// maxReason is how many bytes of a peer's ERROR are told.
	maxReason = 200
)

// message is a text message. Which fields mean something depends on kind.
type message struct {
	kind  kind
	peer  string // the sender's id: "" if it is not one to be told
	count int64  // blobCount
	req   uint32
	id    blobnet.ID
	ids   []blobnet.ID
	text  string
}

// wire is a text message as JSON. Unknown fields are ignored.
type wire struct {
	Type      *uint32         `json:"type"`
	Version   *json.Number    `json:"version"`
	PeerID    json.RawMessage `json:"peerId"`
	RequestID *uint32         `json:"requestId"`
	BlobID    *string         `json:"blobId"`
	BlobIDs   *idList         `json:"blobIds"`
	Message   json.RawMessage `json:"message"`
}

// parse reads a text message. Every error wraps ErrProtocol. A message of an
// unknown type is returned as it is.
func parse(b []byte) (message, error) {
	if len(b) > maxText {
		return message{}, fmt.Errorf("%w: text message over %d bytes", ErrProtocol, maxText)
	}
	var w wire
	if err := json.Unmarshal(b, &w); err != nil {
		return message{}, fmt.Errorf("%w: text message is not one of the protocol: %v", ErrProtocol, short(err.Error()))
	}
	if w.Type == nil {
		return message{}, fmt.Errorf("%w: text message without type", ErrProtocol)
	}
	m := message{kind: kind(*w.Type)}
	var err error
	switch m.kind {
	case kindHandshake, kindHandshakeAck:
		if w.Version != nil && w.Version.String() != "1" {
			err = fmt.Errorf("version %s, want %d", short(w.Version.String()), version)
		}
		m.peer = peerID(w.PeerID)
	case kindRequest, kindNotFound:
		if w.RequestID == nil || w.BlobID == nil {
			err = errors.New("requestId or blobId is missing")
			break
		}
		m.req = *w.RequestID
		m.id, err = parseID(*w.BlobID)
	case kindHave, kindWant:
		if w.BlobIDs == nil {
			err = errors.New("blobIds is missing")
			break
		}
		m.ids = *w.BlobIDs
	case kindResponse:
		err = errors.New("in a text message")
	case kindError:
		var text string
		if json.Unmarshal(w.Message, &text) == nil {
			m.text = short(text)
		}
	}
	if err != nil {
		return message{}, fmt.Errorf("%w: %v: %v", ErrProtocol, m.kind, err)
	}
	return m, nil
}

// parseID reads a blob id in hex, upper case too.
func parseID(s string) (blobnet.ID, error) { return blobnet.ParseID(strings.ToLower(s)) }

// idList is blobIds, at most maxIDs of them.
type idList []blobnet.ID

// UnmarshalJSON stops at the first id over the limit.
func (l *idList) UnmarshalJSON(b []byte) error {
	d := json.NewDecoder(bytes.NewReader(b))
	t, err := d.Token()
	if err != nil {
		return err
	}
	if t != json.Delim('[') {
		return errors.New("blobIds is no list")
	}
	for d.More() {
		t, err := d.Token()
		if err != nil {
			return err
		}
		s, ok := t.(string)
		if !ok {
			return errors.New("blobIds holds what is no text")
		}
		id, err := parseID(s)
		if err != nil {
			return err
		}
		if len(*l) == maxIDs {
			return fmt.Errorf("over %d blobIds", maxIDs)
		}
		*l = append(*l, id)
	}
	return nil
}

// peerID returns what a peer calls itself, or "" if that is no short word.
func peerID(raw json.RawMessage) string {
	var s string
	if json.Unmarshal(raw, &s) != nil || !isPeerID(s) {
		return ""
	}
	return s
}

func isPeerID(s string) bool {
	if s == "" || len(s) > maxPeerID {
		return false
	}
	for _, c := range []byte(s) {
		if (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && !strings.ContainsRune("-_.:", rune(c)) {
			return false
		}
	}
	return true
}

// short makes a peer's words fit to be told: one line of printable ASCII.
func short(s string) string {
	if len(s) > maxReason {
		s = s[:maxReason]
	}
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '.'
		}
		return r
	}, s)
}

// appendText appends m as JSON, the fields in the order of the document.
func appendText(b []byte, m message) []byte {
	b = append(b, `{"type":`...)
	b = strconv.AppendUint(b, uint64(m.kind), 10)
	switch m.kind {
	case kindHandshake, kindHandshakeAck:
		b = append(b, `,"version":1,"peerId":"`...)
		b = append(b, m.peer...) // isPeerID: needs no quoting
		b = append(b, '"')
		if m.kind == kindHandshake {
			b = append(b, `,"blobCount":`...)
			b = strconv.AppendInt(b, m.count, 10)
		}
	case kindRequest, kindNotFound:
		b = append(b, `,"requestId":`...)
		b = strconv.AppendUint(b, uint64(m.req), 10)
		b = append(b, `,"blobId":"`...)
		b = append(b, m.id.String()...)
		b = append(b, '"')
	case kindHave, kindWant:
		b = append(b, `,"blobIds":[`...)
		for i, id := range m.ids {
			if i > 0 {
				b = append(b, ',')
			}
			b = append(b, '"')
			b = append(b, id.String()...)
			b = append(b, '"')
		}
		b = append(b, ']')
	case kindError:
		b = append(b, `,"message":`...)
		text, _ := json.Marshal(short(m.text)) // of ASCII
		b = append(b, text...)
	}
	return append(b, '}')
}

// putHead writes what stands before the data of a RESPONSE.
func putHead(b []byte, req uint32, id blobnet.ID) {
	b[0] = byte(kindResponse)
	binary.BigEndian.PutUint32(b[1:], req)
	copy(b[5:headSize], id[:])
}

// parseHead reads what putHead writes.
func parseHead(b []byte) (req uint32, id blobnet.ID, err error) {
	if len(b) < headSize {
		return 0, id, fmt.Errorf("%w: binary message of %d bytes", ErrProtocol, len(b))
	}
	if k := kind(b[0]); k != kindResponse {
		return 0, id, fmt.Errorf("%w: binary message of type %d", ErrProtocol, b[0])
	}
	copy(id[:], b[5:headSize])
	return binary.BigEndian.Uint32(b[1:]), id, nil
}

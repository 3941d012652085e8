package exchange

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"unicode/utf8"

	"github.com/anonymous-media-library/aml/blobnet"
)

// frameType is the byte after a frame's length. 0 to 7 have the numbers of
// seed document 001.
type frameType uint8

const (
	typeHandshake    frameType = 0
	typeHandshakeAck frameType = 1
	typeRequest      frameType = 2
	typeResponse     frameType = 3
	typeHave         frameType = 4
	typeWant         frameType = 5
	typeNotFound     frameType = 6
	typeError        frameType = 7
	typeCancel       frameType = 8
	typeBusy         frameType = 9
	typeHas          frameType = 10
)

var typeNames = [...]string{"HANDSHAKE", "HANDSHAKE_ACK", "REQUEST", "RESPONSE", "HAVE",
	"WANT", "NOT_FOUND", "ERROR", "CANCEL", "BUSY", "HAS"}

func (t frameType) String() string {
	if int(t) < len(typeNames) {
		return typeNames[t]
	}
	return fmt.Sprintf("type %d", uint8(t))
}

// version is the protocol's only version so far.
const version = 1

const (
	// maxPayload is the most data that one RESPONSE may carry, in bytes.
	maxPayload = 64 << 10
	// maxIDs is the most ids in one HAVE or WANT.
	maxIDs = 1024
	// maxText is the longest message of an ERROR, in bytes.
	maxText = 256

	lengthSize     = 4
	headSize       = lengthSize + 1 // length and type
	responseFixed  = 13             // request id, flags, offset, total
	responseHead   = headSize + responseFixed
	handshakeFixed = 7
	requestFixed   = 45
	idSize         = len(blobnet.ID{})
)

// sendPayload is how much data this implementation puts into a RESPONSE:
// yamux, below most streams, sends messages of at most 64 KiB with a header of
// 12 bytes, and a frame of exactly that size is one message and four whole TLS
// records.
const sendPayload = 64<<10 - 12 - responseHead

// featureRanges is the bit of a handshake that says: this peer answers a REQUEST
// with flagProof.
const featureRanges uint32 = 1 << 0

// flagProof in a REQUEST asks for a proof of the range that it names, and in a
// RESPONSE says that the data is of such a proof.
const flagProof uint8 = 1 << 0

// maxProof is the longest proof that can be, in bytes: of a whole blob of
// blobnet.MaxBlobSize, whose tree has 128 nodes above its 129 groups.
const maxProof = blobnet.MaxBlobSize + 8 + 128*64

// Codes of ERROR frames.
const (
	codeUnsupported uint16 = 1 // flags, range or version that this peer does not know
	codeInternal    uint16 = 2 // the store failed
	codeCancelled   uint16 = 3 // the end of a request that was cancelled
	codeRange       uint16 = 4 // the range is not within the blob
)

// frame is one decoded message. Which fields mean something depends on typ.
type frame struct {
	typ      frameType
	req      uint32       // all but the handshakes; 0 in HAVE, which nobody asked for; 0 in ERROR: the whole stream
	flags    uint8        // REQUEST, RESPONSE
	version  uint8        // handshakes
	features uint32       // handshakes: a set of bits; unknown ones mean nothing
	requests uint16       // handshakes: how many requests the sender queues on this stream
	id       blobnet.ID   // REQUEST
	offset   uint32       // REQUEST: bytes into the blob; RESPONSE: into the blob or the proof
	length   uint32       // REQUEST: bytes wanted, 0 with offset 0: the whole blob; RESPONSE: the size of the blob or the proof
	data     []byte       // RESPONSE, when the frame was decoded as a whole
	size     int          // RESPONSE: bytes of data
	ids      []blobnet.ID // HAVE, WANT
	has      []byte       // HAS: a bit for each id of the WANT
	code     uint16       // ERROR
	text     string       // ERROR
	retry    uint32       // BUSY: milliseconds
}

// errShort says that the bytes end within a frame.
var errShort = errors.New("frame is cut short")

// bodySize checks the length field of a frame against the limits of its type
// and returns the number of bytes that follow the type byte. Nothing may be
// allocated for a frame before it.
func bodySize(length uint32, typ frameType) (int, error) {
	if length == 0 {
		return 0, fmt.Errorf("%w: frame of length 0", ErrProtocol)
	}
	n := uint64(length) - 1
	low, high, step := uint64(0), uint64(0), uint64(0)
	switch typ {
	case typeHandshake, typeHandshakeAck:
		low, high = handshakeFixed, handshakeFixed
	case typeRequest:
		low, high = requestFixed, requestFixed
	case typeResponse:
		low, high = responseFixed, responseFixed+maxPayload
	case typeHave, typeWant:
		low, high, step = 4+uint64(idSize), 4+maxIDs*uint64(idSize), uint64(idSize)
	case typeHas:
		low, high = 5, 4+maxIDs/8
	case typeNotFound, typeCancel:
		low, high = 4, 4
	case typeError:
		low, high = 6, 6+maxText
	case typeBusy:
		low, high = 8, 8
	default:
		return 0, fmt.Errorf("%w: unknown %v", ErrProtocol, typ)
	}
	if n < low || n > high || step > 0 && (n-low)%step != 0 {
		return 0, fmt.Errorf("%w: %v of %d bytes", ErrProtocol, typ, n)
	}
	return int(n), nil
}

// parseResponse reads the fixed part of a RESPONSE whose body has size bytes.
func parseResponse(fixed []byte, size int) (frame, error) {
	f := frame{
		typ:    typeResponse,
		req:    binary.BigEndian.Uint32(fixed),
		flags:  fixed[4],
		offset: binary.BigEndian.Uint32(fixed[5:]),
		length: binary.BigEndian.Uint32(fixed[9:]),
		size:   size - responseFixed,
	}
	if f.req == 0 {
		return frame{}, errNoRequest(typeResponse)
	}
	return f, nil
}

func errNoRequest(typ frameType) error {
	return fmt.Errorf("%w: %v with request id 0", ErrProtocol, typ)
}

// parseBody decodes the body of a frame whose size bodySize has accepted. The
// frame's data aliases body, nothing else does.
func parseBody(typ frameType, body []byte) (frame, error) {
	f := frame{typ: typ}
	be := binary.BigEndian
	switch typ {
	case typeHandshake, typeHandshakeAck:
		f.version, f.features, f.requests = body[0], be.Uint32(body[1:]), be.Uint16(body[5:])
		return f, nil
	case typeResponse:
		f, err := parseResponse(body, len(body))
		f.data = body[responseFixed:]
		return f, err
	}
	f.req = be.Uint32(body)
	rest := body[4:]
	switch typ {
	case typeRequest:
		f.flags = rest[0]
		copy(f.id[:], rest[1:])
		f.offset, f.length = be.Uint32(rest[33:]), be.Uint32(rest[37:])
	case typeHave, typeWant:
		f.ids = make([]blobnet.ID, len(rest)/idSize)
		for i := range f.ids {
			copy(f.ids[i][:], rest[i*idSize:])
		}
	case typeHas:
		f.has = bytes.Clone(rest)
	case typeError:
		f.code = be.Uint16(rest)
		if !utf8.Valid(rest[2:]) {
			return frame{}, fmt.Errorf("%w: ERROR text is not UTF-8", ErrProtocol)
		}
		f.text = string(rest[2:])
	case typeBusy:
		f.retry = be.Uint32(rest)
	}
	if f.req == 0 && typ != typeHave && typ != typeError {
		return frame{}, errNoRequest(typ)
	}
	if f.req != 0 && typ == typeHave {
		return frame{}, fmt.Errorf("%w: HAVE with a request id", ErrProtocol)
	}
	return f, nil
}

// decodeFrame decodes the frame at the start of b and returns how many bytes
// it took: errShort if b ends within it, ErrProtocol if it breaks a rule.
func decodeFrame(b []byte) (frame, int, error) {
	if len(b) < headSize {
		return frame{}, 0, errShort
	}
	typ := frameType(b[lengthSize])
	n, err := bodySize(binary.BigEndian.Uint32(b), typ)
	if err != nil {
		return frame{}, 0, err
	}
	if len(b)-headSize < n {
		return frame{}, 0, errShort
	}
	f, err := parseBody(typ, b[headSize:headSize+n])
	if err != nil {
		return frame{}, 0, err
	}
	return f, headSize + n, nil
}

// appendFrame appends the encoding of f, which must keep the limits, to dst.
func appendFrame(dst []byte, f frame) []byte {
	start := len(dst)
	be := binary.BigEndian
	dst = append(dst, 0, 0, 0, 0, byte(f.typ))
	switch f.typ {
	case typeHandshake, typeHandshakeAck:
		dst = append(dst, f.version)
		dst = be.AppendUint32(dst, f.features)
		dst = be.AppendUint16(dst, f.requests)
	case typeRequest:
		dst = be.AppendUint32(dst, f.req)
		dst = append(dst, f.flags)
		dst = append(dst, f.id[:]...)
		dst = be.AppendUint32(dst, f.offset)
		dst = be.AppendUint32(dst, f.length)
	case typeResponse:
		dst = be.AppendUint32(dst, f.req)
		dst = append(dst, f.flags)
		dst = be.AppendUint32(dst, f.offset)
		dst = be.AppendUint32(dst, f.length)
		dst = append(dst, f.data...)
	case typeHave, typeWant:
		dst = be.AppendUint32(dst, f.req)
		for i := range f.ids {
			dst = append(dst, f.ids[i][:]...)
		}
	case typeHas:
		dst = be.AppendUint32(dst, f.req)
		dst = append(dst, f.has...)
	case typeNotFound, typeCancel:
		dst = be.AppendUint32(dst, f.req)
	case typeError:
		dst = be.AppendUint32(dst, f.req)
		dst = be.AppendUint16(dst, f.code)
		dst = append(dst, f.text...)
	case typeBusy:
		dst = be.AppendUint32(dst, f.req)
		dst = be.AppendUint32(dst, f.retry)
	}
	be.PutUint32(dst[start:], uint32(len(dst)-start-lengthSize))
	return dst
}

// putResponseHead writes the head of a RESPONSE that carries size bytes of
// data into head, which has responseHead bytes and lies just before the data.
func putResponseHead(head []byte, req uint32, flags uint8, offset, total uint32, size int) {
	be := binary.BigEndian
	be.PutUint32(head, uint32(1+responseFixed+size))
	head[4] = byte(typeResponse)
	be.PutUint32(head[5:], req)
	head[9] = flags
	be.PutUint32(head[10:], offset)
	be.PutUint32(head[14:], total)
}

package exchange

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"io"
	"maps"
	"os"
	"reflect"
	"slices"
	"testing"

	"github.com/anonymous-media-library/aml/blobnet"
)

var update = flag.Bool("update", false, "rewrite testdata/frames.json")

// vector is one frame, or several bytes that are none, in testdata/frames.json.
type vector struct {
	Name  string       `json:"name"`
	Hex   string       `json:"hex"`
	Frame *vectorFrame `json:"frame,omitempty"` // what the bytes mean
	Error string       `json:"error,omitempty"` // "protocol" or "short"
}

type vectorFrame struct {
	Type     string       `json:"type"`
	Request  uint32       `json:"request,omitempty"`
	Flags    uint8        `json:"flags,omitempty"`
	Version  uint8        `json:"version,omitempty"`
	Features uint32       `json:"features,omitempty"`
	Requests uint16       `json:"requests,omitempty"`
	Blob     *blobnet.ID  `json:"blob,omitempty"`
	Offset   uint32       `json:"offset,omitempty"`
	Length   uint32       `json:"length,omitempty"`
	Data     string       `json:"data,omitempty"`
	Blobs    []blobnet.ID `json:"blobs,omitempty"`
	Has      string       `json:"has,omitempty"`
	Code     uint16       `json:"code,omitempty"`
	Text     string       `json:"text,omitempty"`
	Retry    uint32       `json:"retryMillis,omitempty"`
}

func describeFrame(f frame) *vectorFrame {
	v := &vectorFrame{Type: f.typ.String(), Request: f.req, Flags: f.flags, Version: f.version, Features: f.features,
		Requests: f.requests, Offset: f.offset, Length: f.length, Data: hex.EncodeToString(f.data),
		Blobs: f.ids, Has: hex.EncodeToString(f.has), Code: f.code, Text: f.text, Retry: f.retry}
	if f.typ == typeRequest {
		v.Blob = &f.id
	}
	return v
}

// samples has every type, at its smallest and largest where that is short.
func samples() map[string]frame {
	id := blobnet.Sum([]byte("blob"))
	return map[string]frame{
		"handshake":                    {typ: typeHandshake, version: 1},
		"handshake, knows ranges":      {typ: typeHandshake, version: 1, features: featureRanges},
		"handshake ack":                {typ: typeHandshakeAck, version: 1, features: 0x80000001, requests: 128},
		"request of a whole blob":      {typ: typeRequest, req: 1, id: id},
		"request of a range":           {typ: typeRequest, req: 0xffffffff, flags: 1, id: id, offset: 16384, length: 32768},
		"response, whole":              {typ: typeResponse, req: 1, length: 4, data: []byte("blob"), size: 4},
		"response, a part":             {typ: typeResponse, req: 1, offset: 65506, length: 65508, data: []byte("ob"), size: 2},
		"response, of a proof":         {typ: typeResponse, req: 0xffffffff, flags: 1, offset: 65506, length: 65508, data: []byte("ob"), size: 2},
		"response, empty blob":         {typ: typeResponse, req: 2, data: []byte{}},
		"have, unasked":                {typ: typeHave, ids: []blobnet.ID{id}},
		"has, the first and the ninth": {typ: typeHas, req: 3, has: []byte{0x80, 0x80}},
		"has, none of those asked":     {typ: typeHas, req: 3, has: []byte{0}},
		"want":                         {typ: typeWant, req: 3, ids: []blobnet.ID{id, {1}}},
		"not found":                    {typ: typeNotFound, req: 4},
		"error of a request":           {typ: typeError, req: 5, code: codeUnsupported, text: "ranges are not supported"},
		"error, no such range":         {typ: typeError, req: 5, code: codeRange},
		"error of the stream":          {typ: typeError, code: codeInternal},
		"cancel":                       {typ: typeCancel, req: 6},
		"busy":                         {typ: typeBusy, req: 7, retry: 1500},
	}
}

// invalid has bytes that no peer may send.
func invalid() map[string][]byte {
	length := func(n uint32, typ frameType, body int) []byte {
		b := binary.BigEndian.AppendUint32(nil, n)
		return append(append(b, byte(typ)), make([]byte, body)...)
	}
	cut := appendFrame(nil, frame{typ: typeBusy, req: 7, retry: 1500})
	return map[string][]byte{
		"length zero":               length(0, typeHandshake, 0),
		"unknown type":              length(1, 11, 0),
		"have, with a request id":   append(length(1+4+32, typeHave, 3), append([]byte{3}, make([]byte, 32)...)...),
		"has, no bits":              length(1+4, typeHas, 4),
		"has, 1025 bits":            length(1+4+129, typeHas, 4+129),
		"has, request 0":            length(1+4+1, typeHas, 5),
		"handshake too short":       length(7, typeHandshake, 6),
		"handshake too long":        length(9, typeHandshake, 8),
		"request too long":          length(47, typeRequest, 46),
		"response over the limit":   length(1+13+65536+1, typeResponse, 13),
		"response without its head": length(13, typeResponse, 12),
		"largest length":            length(0xffffffff, typeResponse, 13),
		"have, half an id":          length(1+4+31, typeHave, 35),
		"have, 1025 ids":            length(1+4+32*1025, typeHave, 4),
		"want, no ids":              length(1+4, typeWant, 4),
		"want, request 0":           length(1+4+32, typeWant, 36),
		"request id 0":              length(1+45, typeRequest, 45),
		"not found, request 0":      length(5, typeNotFound, 4),
		"error text too long":       length(1+6+257, typeError, 6+257),
		"error text not UTF-8":      append(length(1+6+1, typeError, 6), 0xff),
		"cancel with a tail":        length(6, typeCancel, 5),
		"short: no type":            cut[:4],
		"short: body cut":           cut[:len(cut)-1],
	}
}

func TestFrameVectors(t *testing.T) {
	const path = "testdata/frames.json"
	if *update {
		var list []vector
		for _, name := range sorted(samples()) {
			f := samples()[name]
			list = append(list, vector{Name: name, Hex: hex.EncodeToString(appendFrame(nil, f)), Frame: describeFrame(f)})
		}
		for _, name := range sorted(invalid()) {
			_, _, err := decodeFrame(invalid()[name])
			list = append(list, vector{Name: name, Hex: hex.EncodeToString(invalid()[name]), Error: errorName(err)})
		}
		b, err := json.MarshalIndent(list, "", "  ")
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, append(b, '\n'), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var list []vector
	if err := json.Unmarshal(b, &list); err != nil {
		t.Fatal(err)
	}
	if len(list) != len(samples())+len(invalid()) {
		t.Errorf("%d vectors", len(list))
	}
	for _, v := range list {
		raw, err := hex.DecodeString(v.Hex)
		if err != nil {
			t.Fatal(err)
		}
		f, n, err := decodeFrame(raw)
		if v.Frame == nil {
			if errorName(err) != v.Error || v.Error == "" {
				t.Errorf("%s: got %v, want %s", v.Name, err, v.Error)
			}
			continue
		}
		if err != nil || n != len(raw) {
			t.Errorf("%s: %d bytes, %v", v.Name, n, err)
			continue
		}
		got, _ := json.Marshal(describeFrame(f))
		want, _ := json.Marshal(v.Frame)
		if !bytes.Equal(got, want) {
			t.Errorf("%s: got %s, want %s", v.Name, got, want)
		}
		if again := appendFrame(nil, f); !bytes.Equal(again, raw) {
			t.Errorf("%s: encoded again gives %x", v.Name, again)
		}
	}
}

func sorted[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

func errorName(err error) string {
	switch {
	case errors.Is(err, ErrProtocol):
		return "protocol"
	case errors.Is(err, errShort):
		return "short"
	}
	return ""
}

func TestHeadWrittenInPlaceIsTheSameFrame(t *testing.T) {
	f := frame{typ: typeResponse, req: 9, flags: flagProof, offset: 77, length: 1000, data: []byte("some data")}
	buf := append(make([]byte, responseHead), f.data...)
	putResponseHead(buf, f.req, f.flags, f.offset, f.length, len(f.data))
	if !bytes.Equal(buf, appendFrame(nil, f)) {
		t.Errorf("got %x", buf)
	}
}

// FuzzFrame holds that no bytes crash the decoder, that what it takes encodes
// to the same bytes, and that the streaming reader sees the same.
func FuzzFrame(f *testing.F) {
	for _, s := range samples() {
		f.Add(appendFrame(nil, s))
	}
	for _, b := range invalid() {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		r := newFrameReader(bytes.NewReader(in), func() {})
		for rest := in; ; {
			want, n, err := decodeFrame(rest)
			got, streamErr := r.next()
			if err != nil {
				switch {
				case streamErr == nil && got.typ == typeResponse && errors.Is(err, errShort):
					// Its head is whole, its data is not.
					if err := r.data(make([]byte, got.size)); !errors.Is(err, io.ErrUnexpectedEOF) {
						t.Fatalf("reader found data: %v", err)
					}
				case streamErr == nil:
					t.Fatalf("reader took what the decoder refuses: %v", err)
				case len(rest) == 0 && streamErr != io.EOF:
					t.Fatalf("end of stream is %v", streamErr)
				}
				return
			}
			if again := appendFrame(nil, want); !bytes.Equal(again, rest[:n]) {
				t.Fatalf("%x encodes as %x", rest[:n], again)
			}
			if want.typ == typeResponse && want.req == 0 {
				t.Fatal("RESPONSE with request id 0")
			}
			if streamErr != nil {
				t.Fatalf("decoder takes %v, reader gives %v", want.typ, streamErr)
			}
			if got.typ == typeResponse {
				got.data = make([]byte, got.size)
				if err := r.data(got.data); err != nil {
					t.Fatal(err)
				}
			}
			if !reflect.DeepEqual(got, want) {
				t.Fatalf("reader gives %+v, decoder %+v", got, want)
			}
			rest = rest[n:]
		}
	})
}

package gossip

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/codec/dcbor"
)

var update = flag.Bool("update", false, "rewrite testdata/vectors")

// vector is one gossip message, request or answer. Error is empty for what is
// valid, else the name of the sentinel that reading it must give.
type vector struct {
	Kind  string `json:"kind"`
	What  string `json:"what"`
	Hex   string `json:"hex"`
	Error string `json:"error,omitempty"`
}

func (v vector) read() error {
	data, err := hex.DecodeString(v.Hex)
	if err != nil {
		return err
	}
	switch v.Kind {
	case "message":
		_, err = DecodeBundle(data)
	case "request":
		_, err = decodeRequest(data)
	case "answer":
		_, err = decodeAnswer(data)
	}
	return err
}

var sentinels = map[string]error{
	"ErrMalformed": channel.ErrMalformed, "ErrLimit": channel.ErrLimit, "ErrTooLarge": channel.ErrTooLarge,
}

func TestVectors(t *testing.T) {
	path := filepath.Join("testdata", "vectors", "wire.json")
	made, err := json.MarshalIndent(vectors(t), "", " ")
	if err != nil {
		t.Fatal(err)
	}
	made = append(made, '\n')
	if *update {
		if err := os.WriteFile(path, made, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	kept, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(made, kept) {
		t.Error("the vectors would come out differently; once released they must not change")
	}
	var all []vector
	if err := json.Unmarshal(kept, &all); err != nil {
		t.Fatal(err)
	}
	for _, v := range all {
		if err := v.read(); !errors.Is(err, sentinels[v.Error]) || (err == nil) != (v.Error == "") {
			t.Errorf("%s, %s: got %v, want %s", v.Kind, v.What, err, v.Error)
		}
	}
}

func vectors(t *testing.T) []vector {
	var out []vector
	raw := func(kind, what, sentinel string, data []byte) {
		out = append(out, vector{kind, what, hex.EncodeToString(data), sentinel})
	}
	add := func(kind, what, sentinel string, v any) {
		data, err := dcbor.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		raw(kind, what, sentinel, data)
	}
	one := [][]byte{{1}}
	a, b := channel.Hash{0: 0xaa, 31: 1}, channel.Hash{0: 0xbb, 31: 2}
	log, other := channel.PublicKey{0: 0xcc}, channel.PublicKey{0: 0xdd}
	key := []channel.Hash{a}

	add("message", "one envelope", "", one)
	add("message", "eight envelopes", "", [][]byte{{1}, {2}, {3}, {4}, {5}, {6}, {7}, {8}})
	add("message", "nine envelopes", "ErrLimit", [][]byte{{1}, {2}, {3}, {4}, {5}, {6}, {7}, {8}, {9}})
	add("message", "no envelope", "ErrLimit", [][]byte{})
	add("message", "an empty envelope", "ErrMalformed", [][]byte{{1}, {}})
	add("message", "text instead of bytes", "ErrMalformed", []string{"a"})
	add("message", "bytes outside of an array", "ErrMalformed", []byte{1})
	raw("message", "nothing", "ErrMalformed", nil)
	raw("message", "a long length", "ErrMalformed", []byte{0x81, 0x58, 1, 1})
	raw("message", "an indefinite length", "ErrMalformed", []byte{0x9f, 0x41, 1, 0xff})
	raw("message", "something after the end", "ErrMalformed", []byte{0x81, 0x41, 1, 0})

	add("request", "heads", "", request{Kind: askHeads, Keys: []channel.Hash{a, b}})
	add("request", "roots", "", request{Kind: askRoots, Keys: key, From: 2, To: 3})
	add("request", "manifests", "", request{Kind: askManifests, Keys: key, Log: &log, From: 1, To: MaxRange})
	add("request", "listing", "", request{Kind: askListing, Keys: key})
	add("request", "knock", "", request{Kind: knock, Keys: key})
	add("request", "kind 0", "ErrMalformed", request{Keys: key})
	add("request", "snapshot", "", request{Kind: askSnapshot, Keys: key, Log: &log})
	add("request", "snapshot with pages", "", request{Kind: askSnapshot, Keys: key, Log: &log, From: 2, To: channel.MaxPages})
	add("request", "live manifests", "", request{Kind: askLive, Keys: key, Log: &log, From: 1, To: MaxRange, Hash: &b})
	add("request", "kind 99", "ErrMalformed", request{Kind: 99, Keys: key})
	add("request", "snapshot without a log", "ErrMalformed", request{Kind: askSnapshot, Keys: key})
	add("request", "snapshot with page 0", "ErrMalformed", request{Kind: askSnapshot, Keys: key, Log: &log, To: 1})
	add("request", "snapshot with page 1025", "ErrMalformed", request{Kind: askSnapshot, Keys: key, Log: &log, From: 1, To: channel.MaxPages + 1})
	add("request", "snapshot with pages backwards", "ErrMalformed", request{Kind: askSnapshot, Keys: key, Log: &log, From: 2, To: 1})
	add("request", "snapshot with a hash", "ErrMalformed", request{Kind: askSnapshot, Keys: key, Log: &log, Hash: &b})
	add("request", "live manifests without a hash", "ErrMalformed", request{Kind: askLive, Keys: key, Log: &log, From: 1, To: 1})
	add("request", "live manifests without a log", "ErrMalformed", request{Kind: askLive, Keys: key, From: 1, To: 1, Hash: &b})
	add("request", "4,097 live manifests", "ErrMalformed", request{Kind: askLive, Keys: key, Log: &log, From: 1, To: MaxRange + 1, Hash: &b})
	add("request", "manifests with a hash", "ErrMalformed", request{Kind: askManifests, Keys: key, Log: &log, From: 1, To: 1, Hash: &b})
	add("request", "heads of nothing", "ErrMalformed", request{Kind: askHeads})
	add("request", "heads, a key twice", "ErrMalformed", request{Kind: askHeads, Keys: []channel.Hash{a, a}})
	add("request", "heads of 65 channels", "ErrMalformed", request{Kind: askHeads, Keys: make([]channel.Hash, MaxKeys+1)})
	add("request", "heads with a range", "ErrMalformed", request{Kind: askHeads, Keys: key, From: 1, To: 1})
	add("request", "roots of two channels", "ErrMalformed", request{Kind: askRoots, Keys: []channel.Hash{a, b}, From: 1, To: 1})
	add("request", "roots from 0", "ErrMalformed", request{Kind: askRoots, Keys: key, To: 1})
	add("request", "roots backwards", "ErrMalformed", request{Kind: askRoots, Keys: key, From: 2, To: 1})
	add("request", "roots with a log", "ErrMalformed", request{Kind: askRoots, Keys: key, Log: &log, From: 1, To: 1})
	add("request", "manifests without a log", "ErrMalformed", request{Kind: askManifests, Keys: key, From: 1, To: 1})
	add("request", "4,097 manifests", "ErrMalformed", request{Kind: askManifests, Keys: key, Log: &log, From: 1, To: MaxRange + 1})
	add("request", "all manifests", "ErrMalformed", request{Kind: askManifests, Keys: key, Log: &log, From: 1, To: 1<<64 - 1})
	add("request", "a short key", "ErrMalformed", struct {
		Kind uint64   `cbor:"1,keyasint"`
		Keys [][]byte `cbor:"2,keyasint"`
	}{askHeads, [][]byte{a[:31]}})
	add("request", "an unknown field", "ErrMalformed", struct {
		Kind uint64         `cbor:"1,keyasint"`
		Keys []channel.Hash `cbor:"2,keyasint"`
		More bool           `cbor:"6,keyasint"`
	}{askHeads, key, true})

	add("answer", "nothing", "", answer{})
	add("answer", "nothing yet", "", answer{More: true})
	add("answer", "heads", "", answer{Sections: []section{{Key: a, Root: 1, Hash: &b, Logs: []logState{{Log: log, Seq: 7, Hash: b}, {Log: other, Seq: 1, Hash: a}}, Items: one, Forks: []fork{{[]byte{1}, []byte{2}}}}}})
	add("answer", "heads of a private channel, with a snapshot", "", answer{Sections: []section{{Key: a, Root: 1, Hash: &b, Logs: []logState{{Log: log, Seq: 300, Hash: b, Epoch: 2, Snapshot: 256}}}}})
	add("answer", "a snapshot beyond the log", "ErrMalformed", answer{Sections: []section{{Key: a, Root: 1, Hash: &b, Logs: []logState{{Log: log, Seq: 7, Hash: b, Snapshot: 8}}}}})
	add("answer", "items of two channels", "", answer{Sections: []section{{Key: a, Items: one}, {Key: b, Items: one}}, More: true})
	add("answer", "a channel twice", "ErrMalformed", answer{Sections: []section{{Key: a, Items: one}, {Key: a, Items: one}}})
	add("answer", "a log twice", "ErrMalformed", answer{Sections: []section{{Key: a, Root: 1, Hash: &b, Logs: []logState{{Log: log, Seq: 7, Hash: b}, {Log: log, Seq: 8, Hash: b}}}}})
	add("answer", "an empty log", "ErrMalformed", answer{Sections: []section{{Key: a, Root: 1, Hash: &b, Logs: []logState{{Log: log, Hash: b}}}}})
	add("answer", "an empty envelope", "ErrMalformed", answer{Sections: []section{{Key: a, Items: [][]byte{{}}}}})
	add("answer", "17 forks", "ErrLimit", answer{Sections: []section{{Key: a, Root: 1, Hash: &b, Forks: make([]fork, maxForks+1)}}})
	many := make([][]byte, MaxItems+1)
	for i := range many {
		many[i] = []byte{1}
	}
	add("answer", "257 envelopes", "ErrLimit", answer{Sections: []section{{Key: a, Items: many}}})
	logs := make([]logState, maxLogs+1)
	for i := range logs {
		logs[i] = logState{Log: channel.PublicKey{0: byte(i), 1: byte(i >> 8)}, Seq: 1, Hash: a}
	}
	add("answer", "129 logs", "ErrLimit", answer{Sections: []section{{Key: a, Root: 1, Hash: &b, Logs: logs}}})
	add("request", "manifests of a key of small order", "ErrMalformed", request{Kind: askManifests, Keys: key, Log: &channel.PublicKey{}, From: 1, To: 1})
	add("answer", "a log of small order", "ErrMalformed", answer{Sections: []section{{Key: a, Root: 1, Hash: &b, Logs: []logState{{Log: channel.PublicKey{1}, Seq: 1, Hash: b}}}}})
	add("answer", "a root without its hash", "ErrMalformed", answer{Sections: []section{{Key: a, Root: 1}}})
	add("answer", "a hash of no root", "ErrMalformed", answer{Sections: []section{{Key: a, Hash: &b}}})
	add("answer", "half a fork", "ErrMalformed", answer{Sections: []section{{Key: a, Root: 1, Hash: &b, Forks: []fork{{nil, []byte{1}}}}}})
	return out
}

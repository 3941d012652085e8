package gossip

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/channel/reconcile"
	"github.com/anonymous-media-library/aml/codec/dcbor"
)

// reconcileFile is testdata/vectors/reconcile.json; byte strings are hex.
type reconcileFile struct {
	Wire    []vector        `json:"wire"` // kinds "request" and "told"
	States  []stateVector   `json:"states"`
	Session []sessionVector `json:"sessions"`
}

type stateVector struct {
	Name   string `json:"name"`
	State  string `json:"state"` // encoded
	Digest string `json:"digest"`
}

type sessionVector struct {
	Name     string          `json:"name"`
	Asker    string          `json:"asker"` // halves of the salt
	Answerer string          `json:"answerer"`
	Channels []channelVector `json:"channels"` // of the answering end
	Answers  []answerVector  `json:"answers"`
}

type channelVector struct {
	Key    string `json:"key"`
	Digest string `json:"digest"`
	Point  string `json:"point"`
	Value  string `json:"value"`
}

type answerVector struct {
	Question string `json:"question"` // a request
	Told     string `json:"told"`
}

func encoded(t *testing.T, v any) string {
	t.Helper()
	data, err := dcbor.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return hex.EncodeToString(data)
}

func TestReconcileVectors(t *testing.T) {
	path := filepath.Join("testdata", "vectors", "reconcile.json")
	made := reconcileFile{wireVectors(t), stateVectors(t), []sessionVector{sessionVectors(t)}}
	data, err := json.MarshalIndent(made, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	data = append(data, '\n')
	if *update {
		if err := os.WriteFile(path, data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	kept, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(data, kept) {
		t.Error("the vectors would come out differently; once released they must not change")
	}
	for _, v := range made.Wire {
		data, err := hex.DecodeString(v.Hex)
		if err != nil {
			t.Fatal(err)
		}
		if v.Kind == "request" {
			_, err = decodeRequest(data)
		} else {
			_, err = decodeTold(data)
		}
		if !errors.Is(err, sentinels[v.Error]) || (err == nil) != (v.Error == "") {
			t.Errorf("%s, %s: got %v, want %s", v.Kind, v.What, err, v.Error)
		}
	}
}

func wireVectors(t *testing.T) []vector {
	var out []vector
	add := func(kind, what, sentinel string, v any) {
		out = append(out, vector{kind, what, encoded(t, v), sentinel})
	}
	ask := func(what, sentinel string, q question) {
		add("request", what, sentinel, request{Kind: askReconcile, Question: &q})
	}
	type r = reconcile.Range
	point := func(lead uint64) []byte { return append(binary.BigEndian.AppendUint64(nil, lead), make([]byte, 8)...) }
	salt := &reconcile.Half{1, 2, 3}
	ask("an opening", "", question{Salt: salt, Ranges: []r{{Split: 6}}})
	ask("parts, points and all of a range", "", question{Ranges: []r{{Prefix: 63, Bits: 6, Split: 6}, {Prefix: 1, Bits: 4, Points: append(point(1<<60), point(1<<60+1)...)}, {Prefix: 7, Bits: 12}}})
	ask("the deepest range", "", question{Ranges: []r{{Prefix: 1<<60 - 1, Bits: 60}}})
	ask("an opening with two ranges", "ErrMalformed", question{Salt: salt, Ranges: []r{{Split: 6}, {Bits: 1}}})
	ask("an opening that asks for items", "ErrMalformed", question{Salt: salt, Ranges: []r{{}}})
	ask("an opening of a part", "ErrMalformed", question{Salt: salt, Ranges: []r{{Bits: 1, Split: 1}}})
	ask("no range", "ErrMalformed", question{})
	ask("65 ranges", "ErrMalformed", question{Ranges: make([]r, reconcile.MaxRanges+1)})
	ask("a prefix longer than its bits", "ErrMalformed", question{Ranges: []r{{Prefix: 2, Bits: 1}}})
	ask("a prefix of no bits", "ErrMalformed", question{Ranges: []r{{Prefix: 1}}})
	ask("61 bits", "ErrMalformed", question{Ranges: []r{{Bits: 61}}})
	ask("parts below 60 bits", "ErrMalformed", question{Ranges: []r{{Bits: 58, Split: 3}}})
	ask("128 parts", "ErrMalformed", question{Ranges: []r{{Split: 7}}})
	ask("parts and points", "ErrMalformed", question{Ranges: []r{{Split: 1, Points: point(0)}}})
	ask("half a point", "ErrMalformed", question{Ranges: []r{{Points: point(0)[:8]}}})
	ask("points that do not ascend", "ErrMalformed", question{Ranges: []r{{Points: append(point(1), point(1)...)}}})
	ask("a point of another range", "ErrMalformed", question{Ranges: []r{{Bits: 1, Points: point(1 << 63)}}})
	many := func(from uint64, n int) (out []byte) {
		for i := range n {
			out = append(out, point(from+uint64(i))...)
		}
		return out
	}
	ask("96 points", "", question{Ranges: []r{{Points: many(0, 96)}}})
	ask("97 points of a range", "ErrMalformed", question{Ranges: []r{{Points: many(0, 97)}}})
	ask("161 points", "ErrMalformed", question{Ranges: []r{{Bits: 1, Points: many(0, 96)}, {Prefix: 1, Bits: 1, Points: many(1<<63, 65)}}})
	add("request", "a reconciliation with a key", "ErrMalformed", request{Kind: askReconcile, Keys: []channel.Hash{{1}}, Question: &question{Ranges: []r{{Bits: 9}}}})
	add("request", "a reconciliation without a question", "ErrMalformed", request{Kind: askReconcile})
	add("request", "heads with a question", "ErrMalformed", request{Kind: askHeads, Keys: []channel.Hash{{1}}, Question: &question{Ranges: []r{{Bits: 9}}}})

	type told1 = reconcile.Told
	add("told", "declined", "", told{})
	add("told", "an opening", "", told{Salt: salt, Ranges: []told1{{Parts: make([]byte, 20*64)}}})
	add("told", "an item, and a range without", "", told{Ranges: []told1{{Items: make([]byte, 32)}, {}}})
	add("told", "an opening about two ranges", "ErrMalformed", told{Salt: salt, Ranges: make([]told1, 2)})
	add("told", "65 ranges", "ErrMalformed", told{Ranges: make([]told1, reconcile.MaxRanges+1)})
	add("told", "65 parts", "ErrMalformed", told{Ranges: []told1{{Parts: make([]byte, 20*65)}}})
	add("told", "half a part", "ErrMalformed", told{Ranges: []told1{{Parts: make([]byte, 10)}}})
	add("told", "97 items", "ErrMalformed", told{Ranges: []told1{{Items: make([]byte, 32*97)}}})
	add("told", "half an item", "ErrMalformed", told{Ranges: []told1{{Items: make([]byte, 16)}}})
	add("told", "parts and items", "ErrMalformed", told{Ranges: []told1{{Parts: make([]byte, 40), Items: make([]byte, 32)}}})
	return out
}

func stateVectors(t *testing.T) []stateVector {
	var out []stateVector
	log := func(n byte) channel.PublicKey { return testKey(string(rune('a' + n))).Public() }
	for _, c := range []struct {
		name  string
		state reconcile.State
	}{
		{"nothing", reconcile.State{}},
		{"a root", reconcile.State{Root: 1, Hash: &channel.Hash{31: 1}}},
		{"a log with a head", reconcile.State{Root: 1, Hash: &channel.Hash{31: 1}, Logs: []reconcile.Log{{Log: log(0), Seq: 7, Hash: channel.Hash{7}, Head: &reconcile.Mark{Seq: 7, Issued: 1_770_000_000}}}}},
		{"two logs, private, one frozen, one behind a claim", reconcile.State{Root: 3, Hash: &channel.Hash{31: 3}, Forked: true, Logs: []reconcile.Log{
			{Log: log(0), Epoch: 2, Seq: 9, Hash: channel.Hash{9}, Frozen: 5, Claim: &reconcile.Mark{Seq: 12, Issued: 1_770_000_001}, Snapshot: 8, Owed: 3},
			{Log: log(1), Epoch: 2, Seq: 1, Hash: channel.Hash{1}},
		}}},
	} {
		digest, err := c.state.Digest()
		if err != nil {
			t.Fatal(err)
		}
		s := c.state
		if len(s.Logs) == 2 && s.Logs[0].Log.Compare(s.Logs[1].Log) > 0 {
			s.Logs[0], s.Logs[1] = s.Logs[1], s.Logs[0]
		}
		out = append(out, stateVector{c.name, encoded(t, s), digest.String()})
	}
	return out
}

func sessionVectors(t *testing.T) sessionVector {
	salt := reconcile.Salt{Asker: reconcile.Half{0xaa, 15: 1}, Answerer: reconcile.Half{0xbb, 15: 2}}
	all := numberedChannels(20)
	v := sessionVector{Name: "twenty channels", Asker: hex.EncodeToString(salt.Asker[:]), Answerer: hex.EncodeToString(salt.Answerer[:])}
	for i := range all {
		all[i].Digest = channel.Hash{byte(i), 31: 1}
		it := salt.Item(all[i], i)
		v.Channels = append(v.Channels, channelVector{all[i].Key.String(), all[i].Digest.String(), hex.EncodeToString(it.Point[:]), hex.EncodeToString(it.Value[:])})
	}
	m := &mirror{channels: func(context.Context) ([]reconcile.Channel, error) { return all, nil }}
	first := salt.Item(all[3], 3).Point
	for _, q := range []question{
		{Salt: &salt.Asker, Ranges: []reconcile.Range{{Split: 1}}},
		{Ranges: []reconcile.Range{{Split: 6}, {Prefix: 1, Bits: 1, Split: 2}, {Prefix: 2, Bits: 2}, {Points: first[:]}, {Points: make([]byte, 16)}}},
	} {
		told, err := m.answer(t.Context(), &q)
		if err != nil {
			t.Fatal(err)
		}
		if q.Salt != nil { // drawn at random; the vector's is fixed
			told.Salt = &salt.Answerer
			m.set = reconcile.NewSet(salt, all)
			if told.Ranges, err = m.set.Answer(q.Ranges); err != nil {
				t.Fatal(err)
			}
		}
		v.Answers = append(v.Answers, answerVector{encoded(t, request{Kind: askReconcile, Question: &q}), encoded(t, told)})
	}
	return v
}

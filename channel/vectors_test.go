package channel

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"unicode/utf8"
)

var update = flag.Bool("update", false, "write testdata/vectors from the fixtures; review the diff: released formats never change")

const vectorDir = "testdata/vectors"

// The shapes of the vector files. CHANNELS.md describes them for other
// implementations.
type (
	keyVector struct {
		Name   string    `json:"name"`
		Seed   HexBytes  `json:"seed"`
		Public PublicKey `json:"public"`
	}

	// structVector is a signed structure: Type, Payload and signatures make
	// Envelope; Payload hashes to Hash and says what JSON says.
	structVector struct {
		Name      string          `json:"name"`
		Type      string          `json:"type"`
		Channel   ID              `json:"channel"`
		Discovery Hash            `json:"discovery"`
		Under     string          `json:"under,omitempty"` // the vector of the root it is verified under; for a root, of the one before it
		Payload   HexBytes        `json:"payload"`
		Hash      Hash            `json:"hash"`
		PAE       HexBytes        `json:"pae"`
		Envelope  HexBytes        `json:"envelope"`
		JSON      json.RawMessage `json:"json"`
	}

	bodyVector struct {
		Name string          `json:"name"`
		Body HexBytes        `json:"body"`
		JSON json.RawMessage `json:"json"`
	}

	textVectors struct {
		Names     []string        `json:"names"`
		Topics    []topicVector   `json:"topics"`
		Mirrors   []string        `json:"mirrors"`
		Addresses []addressVector `json:"addresses"`
		Inputs    []inputVector   `json:"inputs"`
	}
	topicVector struct {
		In    string `json:"in"`
		Topic string `json:"topic"`
		Key   Hash   `json:"key"`
	}
	addressVector struct {
		In      string   `json:"in"`
		Address string   `json:"address"` // canonical, with the read key
		ID      ID       `json:"id"`
		Path    string   `json:"path,omitempty"`
		ReadKey HexBytes `json:"readKey,omitempty"`
	}
	// inputVector is JSON that a person may write or pass on. Kind is
	// "file-entries", "draft" or "root-draft".
	inputVector struct {
		Name string `json:"name"`
		Kind string `json:"kind"`
		Text string `json:"text"`
	}

	// invalidVector must give Error. Kind says which decoder reads Hex or Text.
	invalidVector struct {
		Name    string   `json:"name"`
		Kind    string   `json:"kind"`
		Under   string   `json:"under,omitempty"`
		Channel *ID      `json:"channel,omitempty"`
		Hex     HexBytes `json:"hex,omitempty"`
		Text    string   `json:"text,omitempty"`
		Error   string   `json:"error"`
	}
)

var sentinels = map[string]error{
	"ErrMalformed": ErrMalformed, "ErrVersion": ErrVersion, "ErrTooLarge": ErrTooLarge, "ErrLimit": ErrLimit,
	"ErrName": ErrName, "ErrSignature": ErrSignature, "ErrNotAuthorized": ErrNotAuthorized,
	"ErrExpired": ErrExpired, "ErrChain": ErrChain, "ErrReadKey": ErrReadKey,
}

// TestVectorsAreWhatThisCodeMakes fails when a format has changed.
func TestVectorsAreWhatThisCodeMakes(t *testing.T) {
	for name, v := range map[string]any{
		"keys": makeKeyVectors(), "structures": makeStructVectors(t), "bodies": makeBodyVectors(t),
		"texts": makeTextVectors(t), "invalid": makeInvalidVectors(t),
		"private": makePrivateVectors(t), "pages": makePageVectors(t),
	} {
		var buf bytes.Buffer
		enc := json.NewEncoder(&buf)
		enc.SetEscapeHTML(false)
		enc.SetIndent("", "  ")
		if err := enc.Encode(v); err != nil {
			t.Fatal(err)
		}
		made := escapeHostile(buf.Bytes())
		path := filepath.Join(vectorDir, name+".json")
		if *update {
			if err := os.MkdirAll(vectorDir, 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, made, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		committed, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(committed, made) {
			t.Errorf("%s is not what this code makes: the format has changed, or run with -update after adding vectors", path)
		}
	}
}

// escapeHostile writes as escapes what would make an editor show the file
// otherwise than it is.
func escapeHostile(text []byte) []byte {
	var out []byte
	for _, r := range string(text) {
		if r >= 0x7f && hostileRune(r) || r == 0xa0 || r == 0x200b || r == 0x200f {
			out = fmt.Appendf(out, "\\u%04x", r)
		} else {
			out = utf8.AppendRune(out, r)
		}
	}
	return out
}

func readVectors[T any](t testing.TB, name string) T {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(vectorDir, name+".json"))
	if err != nil {
		t.Fatal(err)
	}
	var v T
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&v); err != nil {
		t.Fatal(err)
	}
	return v
}

func TestValidStructureVectorsDecodeVerifyAndEncodeToTheSameBytes(t *testing.T) {
	roots := make(map[string]Root)
	for _, v := range readVectors[[]structVector](t, "structures") {
		t.Run(v.Name, func(t *testing.T) {
			env := must(DecodeEnvelope(v.Envelope))(t)
			if again := must(EncodeEnvelope(env))(t); !bytes.Equal(again, v.Envelope) {
				t.Error("envelope encodes to other bytes")
			}
			if env.Type != v.Type || !bytes.Equal(env.Payload, v.Payload) || env.Hash() != v.Hash {
				t.Error("envelope holds something else")
			}
			if !bytes.Equal(PAE(v.Type, v.Payload), v.PAE) {
				t.Error("PAE differs")
			}
			if v.Channel.Discovery() != v.Discovery {
				t.Error("discovery key differs")
			}
			var under *Root
			if v.Under != "" {
				r := roots[v.Under]
				under = &r
			}
			switch v.Type {
			case TypeRoot:
				r := must(VerifyRoot(env, under))(t)
				roots[v.Name] = r
				if under == nil && IDOf(v.Payload) != v.Channel {
					t.Error("channel id differs")
				}
				checkBothFaces(t, r, v.Payload, v.JSON)
			case TypeManifest:
				checkBothFaces(t, must(VerifyManifest(env, v.Channel, *under))(t), v.Payload, v.JSON)
			case TypeHead:
				checkBothFaces(t, must(VerifyHead(env, v.Channel, *under))(t), v.Payload, v.JSON)
			case TypeSnapshot:
				checkBothFaces(t, must(VerifySnapshot(env, v.Channel, *under))(t), v.Payload, v.JSON)
			}
		})
	}
}

// checkBothFaces checks that v, its payload and its JSON say the same.
func checkBothFaces[T interface{ Encode() ([]byte, error) }](t *testing.T, v T, payload []byte, text json.RawMessage) {
	t.Helper()
	if again := must(v.Encode())(t); !bytes.Equal(again, payload) {
		t.Error("it encodes to other bytes")
	}
	var fromJSON T
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&fromJSON); err != nil {
		t.Fatal(err)
	}
	if again := must(fromJSON.Encode())(t); !bytes.Equal(again, payload) {
		t.Error("its JSON encodes to other bytes")
	}
}

func TestValidBodyVectorsDecodeAndEncodeToTheSameBytes(t *testing.T) {
	for _, v := range readVectors[[]bodyVector](t, "bodies") {
		body := must(DecodeBody(v.Body))(t)
		var fromJSON Body
		if err := json.Unmarshal(v.JSON, &fromJSON); err != nil {
			t.Errorf("%s: %v", v.Name, err)
		}
		for _, b := range []Body{body, fromJSON} {
			if !bytes.Equal(must(EncodeBody(b))(t), v.Body) {
				t.Errorf("%s: other bytes", v.Name)
			}
		}
	}
}

func TestKeyVectors(t *testing.T) {
	for _, v := range readVectors[[]keyVector](t, "keys") {
		if PrivateKeyFromSeed([32]byte(v.Seed)).Public() != v.Public {
			t.Errorf("%s: other public key", v.Name)
		}
	}
}

func TestValidTextVectors(t *testing.T) {
	v := readVectors[textVectors](t, "texts")
	for _, name := range v.Names {
		if err := ValidName(name); err != nil {
			t.Error(err)
		}
	}
	for _, topic := range v.Topics {
		if got := must(NormalizeTopic(topic.In))(t); got != topic.Topic || TopicKey(got) != topic.Key {
			t.Errorf("topic %q became %q", topic.In, got)
		}
	}
	for _, m := range v.Mirrors {
		if err := ValidMirror(m); err != nil {
			t.Error(err)
		}
	}
	for _, a := range v.Addresses {
		got := must(ParseAddress(a.In))(t)
		var key HexBytes
		if !got.ReadKey.IsZero() {
			raw := got.ReadKey.Bytes()
			key = raw[:]
		}
		if got.ID != a.ID || got.Path != a.Path || !bytes.Equal(key, a.ReadKey) || got.StringWithReadKey() != a.Address {
			t.Errorf("address %s was read wrongly: %s", a.Address, got)
		}
	}
	for _, in := range v.Inputs {
		if err := readInput(in.Kind, in.Text); err != nil {
			t.Errorf("%s: %v", in.Name, err)
		}
	}
}

func TestEveryInvalidVectorGivesItsError(t *testing.T) {
	structures := readVectors[[]structVector](t, "structures")
	vectors := readVectors[[]invalidVector](t, "invalid")
	if len(vectors) < 40 {
		t.Errorf("%d invalid vectors, want at least 40", len(vectors))
	}
	for _, v := range vectors {
		t.Run(v.Name, func(t *testing.T) {
			want, ok := sentinels[v.Error]
			if !ok {
				t.Fatalf("unknown sentinel %q", v.Error)
			}
			err := readInvalid(t, v, structures)
			if !errors.Is(err, want) {
				t.Fatalf("got %v, want %s", err, v.Error)
			}
			for name, other := range sentinels {
				if other != want && errors.Is(err, other) {
					t.Errorf("%v is %s, too", err, name)
				}
			}
		})
	}
}

func readInvalid(t *testing.T, v invalidVector, structures []structVector) (err error) {
	var under *Root
	if v.Under != "" {
		i := slices.IndexFunc(structures, func(s structVector) bool { return s.Name == v.Under })
		r := must(DecodeRoot(structures[i].Payload))(t)
		under = &r
	}
	var env Envelope
	switch v.Kind {
	case "signed-root", "signed-manifest", "signed-head", "signed-snapshot":
		env = must(DecodeEnvelope(v.Hex))(t) // sound by itself
	}
	switch v.Kind {
	case "envelope":
		if env, err = DecodeEnvelope(v.Hex); err == nil {
			err = env.Verify()
		}
	case "root":
		_, err = DecodeRoot(v.Hex)
	case "manifest":
		_, err = DecodeManifest(v.Hex)
	case "head":
		_, err = DecodeHead(v.Hex)
	case "snapshot":
		_, err = DecodeSnapshot(v.Hex)
	case "page":
		_, err = DecodePage(v.Hex)
	case "body":
		_, err = DecodeBody(v.Hex)
	case "sealed":
		_, err = DecodeSealed(v.Hex)
	case "keyring":
		_, err = DecodeKeyring(v.Hex)
	case "signed-root":
		_, err = VerifyRoot(env, under)
	case "signed-manifest":
		_, err = VerifyManifest(env, *v.Channel, *under)
	case "signed-head":
		_, err = VerifyHead(env, *v.Channel, *under)
	case "signed-snapshot":
		_, err = VerifySnapshot(env, *v.Channel, *under)
	default:
		err = readInput(v.Kind, v.Text)
	}
	return err
}

// readInput reads text as what kind says.
func readInput(kind, text string) (err error) {
	switch kind {
	case "file-entries":
		_, err = ParseFileEntries([]byte(text))
	case "draft":
		_, err = ParseDraft([]byte(text))
	case "root-draft":
		_, err = ParseRootDraft([]byte(text))
	case "name":
		err = ValidName(text)
	case "name-hex": // what JSON cannot carry
		raw, bad := hex.DecodeString(text)
		if bad != nil {
			return bad
		}
		err = ValidName(string(raw))
	case "topic":
		_, err = NormalizeTopic(text)
	case "strict-topic":
		err = ValidTopic(text)
	case "mirror":
		err = ValidMirror(text)
	case "address":
		_, err = ParseAddress(text)
	case "channel-id":
		_, err = ParseID(text)
	case "public-key":
		_, err = ParsePublicKey(text)
	case "hash":
		_, err = ParseHash(text)
	case "key-file":
		_, err = DecodeKeyPEM([]byte(text))
	case "member":
		_, err = ParseMember(text)
	case "member-file":
		_, err = DecodeMemberPEM([]byte(text))
	default:
		err = errors.New("no such kind of vector: " + kind)
	}
	return err
}

package channel

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/anonymous-media-library/aml/codec"
)

// These tests hold CHANNELS.md against the code: a second implementation is
// written from that text alone.

func normativeText(t *testing.T) string {
	t.Helper()
	data, err := os.ReadFile("../CHANNELS.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

var (
	fieldsRE = regexp.MustCompile(`(?s)<!-- fields: (\w+) -->\n(.*?)\n\n`)
	rowRE    = regexp.MustCompile("^\\| (\\d+) \\| `(\\w+)` \\| ([^|]+) \\| (yes|no) \\|")
	limitRE  = regexp.MustCompile("(?m)^\\| `(Max\\w+)` \\| (\\d+) \\|")
	fenceRE  = regexp.MustCompile("(?sm)^```(json|hex) ([\\w-]+)\n(.*?)^```$")
)

func TestTextNamesEveryFieldAsItIsEncoded(t *testing.T) {
	structs := map[string]reflect.Type{
		"Envelope": reflect.TypeFor[Envelope](), "Signature": reflect.TypeFor[Signature](), "Root": reflect.TypeFor[Root](),
		"KeySet": reflect.TypeFor[KeySet](), "Publisher": reflect.TypeFor[Publisher](), "Revoked": reflect.TypeFor[Revoked](),
		"Manifest": reflect.TypeFor[Manifest](), "Body": reflect.TypeFor[Body](), "Removal": reflect.TypeFor[Removal](),
		"FileEntry": reflect.TypeFor[FileEntry](), "Ref": reflect.TypeFor[codec.Ref](), "Head": reflect.TypeFor[Head](),
		"Sealed": reflect.TypeFor[Sealed](), "SealedBody": reflect.TypeFor[SealedBody](), "Keyring": reflect.TypeFor[Keyring](),
		"Secrets": reflect.TypeFor[Secrets](), "EpochKey": reflect.TypeFor[EpochKey](),
		"Snapshot": reflect.TypeFor[Snapshot](), "PageRef": reflect.TypeFor[PageRef](), "SnapshotPage": reflect.TypeFor[SnapshotPage](),
	}
	for _, m := range fieldsRE.FindAllStringSubmatch(normativeText(t), -1) {
		typ, ok := structs[m[1]]
		if !ok {
			t.Errorf("no structure %s", m[1])
			continue
		}
		delete(structs, m[1])
		var told []string
		for line := range strings.Lines(m[2]) {
			if row := rowRE.FindStringSubmatch(line); row != nil {
				told = append(told, strings.Join([]string{row[1], row[2], row[4], shape(row[3])}, " "))
			}
		}
		var made []string
		for i := range typ.NumField() {
			f := typ.Field(i)
			tag := strings.Split(f.Tag.Get("cbor"), ",")
			name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			optional := "no"
			if slices.Contains(tag, "omitempty") {
				optional = "yes"
			}
			made = append(made, strings.Join([]string{tag[0], name, optional, goShape(f.Type)}, " "))
		}
		if !slices.Equal(told, made) {
			t.Errorf("%s\ntext: %q\ncode: %q", m[1], told, made)
		}
	}
	for name := range structs {
		t.Errorf("%s is not described", name)
	}
}

// shape reduces the text's word for a type to its first one.
func shape(s string) string {
	s = strings.TrimSpace(s)
	word, _, _ := strings.Cut(s, ",")
	word, _, _ = strings.Cut(word, " of ")
	return word
}

// goShape is how a Go type is encoded, in the words of the text.
func goShape(typ reflect.Type) string {
	switch typ.Kind() {
	case reflect.Pointer:
		return goShape(typ.Elem())
	case reflect.String:
		return "text"
	case reflect.Uint64, reflect.Uint32, reflect.Uint8:
		return "uint"
	case reflect.Int64:
		return "int"
	case reflect.Map:
		return "map"
	case reflect.Struct:
		return typ.Name()
	case reflect.Slice, reflect.Array:
		if typ.Elem().Kind() == reflect.Uint8 {
			return "bytes"
		}
		return "array"
	}
	return typ.String()
}

func TestTextNamesEveryLimit(t *testing.T) {
	limits := map[string]int{
		"MaxRoot": MaxRoot, "MaxManifest": MaxManifest, "MaxHead": MaxHead, "MaxSnapshot": MaxSnapshot, "MaxPage": MaxPage, "MaxPages": MaxPages, "MaxEnvelope": MaxEnvelope, "MaxSignatures": MaxSignatures,
		"MaxRootKeys": MaxRootKeys, "MaxPublishers": MaxPublishers, "MaxRevoked": MaxRevoked, "MaxScopes": MaxScopes, "MaxPublisherName": MaxPublisherName,
		"MaxInlineBody": MaxInlineBody, "MaxBody": MaxBody, "MaxSealedBody": MaxSealedBody, "MaxEntries": MaxEntries,
		"MaxRemovals": MaxRemovals, "MaxTitle": MaxTitle, "MaxDescription": MaxDescription, "MaxReason": MaxReason,
		"MaxPairs": MaxPairs, "MaxPairKey": MaxPairKey, "MaxPairValue": MaxPairValue, "MaxMediaType": MaxMediaType,
		"MaxMembers": MaxMembers, "MaxPreviousEpochs": MaxPreviousEpochs, "MaxSecrets": MaxSecrets, "MaxKeyring": MaxKeyring,
		"MaxName": MaxName, "MaxComponent": MaxComponent, "MaxTopics": MaxTopics, "MaxTopic": MaxTopic,
		"MaxTopicLevels": MaxTopicLevels, "MaxMirrors": MaxMirrors, "MaxMirror": MaxMirror, "MaxAddress": MaxAddress,
		"MaxJSON": MaxJSON, "MaxRootsBefore": MaxRootsBefore, "MaxHeadLife": int(MaxHeadLife / time.Second),
	}
	source, err := os.ReadFile("limits.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile(`(?m)^\t(Max\w+) `).FindAllStringSubmatch(string(source), -1) {
		if _, ok := limits[m[1]]; !ok {
			t.Errorf("this test does not know %s", m[1])
		}
	}
	_, section, _ := strings.Cut(normativeText(t), "\n## Limits\n")
	section, _, _ = strings.Cut(section, "\n## ")
	for _, m := range limitRE.FindAllStringSubmatch(section, -1) {
		if told, _ := strconv.Atoi(m[2]); limits[m[1]] != told {
			t.Errorf("%s: text says %s, code %d", m[1], m[2], limits[m[1]])
		}
		delete(limits, m[1])
	}
	for name := range limits {
		t.Errorf("%s is not in the text", name)
	}
}

func TestTextsExamplesAreTrue(t *testing.T) {
	text := normativeText(t)
	structures := readVectors[[]structVector](t, "structures")
	seen := make(map[string]bool)
	for _, m := range fenceRE.FindAllStringSubmatch(text, -1) {
		form, name, example := m[1], m[2], m[3]
		seen[form+" "+name] = true
		switch name {
		case "file-entries", "draft", "root-draft":
			if err := readInput(name, example); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		i := slices.IndexFunc(structures, func(v structVector) bool { return v.Name == name })
		if i < 0 {
			t.Errorf("no vector %s", name)
			continue
		}
		if got := examplePayload(t, form, structures[i].Type, example); !bytes.Equal(got, structures[i].Payload) {
			t.Errorf("%s as %s is another payload: %x", name, form, got)
		}
	}
	for _, want := range []string{"json file-entries", "json draft", "json root-draft", "json root1", "json manifest2", "json head-by-head-key", "hex head-by-head-key"} {
		if !seen[want] {
			t.Errorf("no example %q", want)
		}
	}
	for _, want := range []string{
		structures[0].Channel.String(), structures[0].Discovery.String(), TopicKey("software/linux").String(),
		TypeRoot, TypeManifest, TypeHead, TypeSnapshot, smallOrder[3].String(), smallOrder[4].String(), "\n## Gossip\n", "\n## Sync\n",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the text does not mention %q", want)
		}
	}
	for name := range sentinels {
		if !strings.Contains(text, "`"+name+"`") {
			t.Errorf("the text does not mention %s", name)
		}
	}
}

func examplePayload(t *testing.T, form, typ, example string) []byte {
	t.Helper()
	if form == "hex" {
		var digits strings.Builder
		for line := range strings.Lines(example) {
			code, _, _ := strings.Cut(line, "  ") // two spaces before what is said about it
			digits.WriteString(strings.ReplaceAll(strings.TrimSpace(code), " ", ""))
		}
		return must(hex.DecodeString(digits.String()))(t)
	}
	switch typ {
	case TypeRoot:
		return exampleOf[Root](t, example)
	case TypeManifest:
		return exampleOf[Manifest](t, example)
	default:
		return exampleOf[Head](t, example)
	}
}

func exampleOf[T interface{ Encode() ([]byte, error) }](t *testing.T, text string) []byte {
	t.Helper()
	var v T
	dec := json.NewDecoder(strings.NewReader(text))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&v); err != nil {
		t.Fatal(err)
	}
	return must(v.Encode())(t)
}

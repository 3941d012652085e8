package wsbridge

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/anonymous-media-library/aml/blobnet"
)

const helloHex = "b94d27b9934d3e08a52e52d7da7dabfac484efe37a5380ee9088f7ace2efcde9"

var hello = blobnet.Sum([]byte("hello world"))

// golden are the messages as issue and document spell them.
var golden = []struct {
	m    message
	text string
}{
	{message{kind: kindHandshake, peer: "0a1b", count: 3}, `{"type":0,"version":1,"peerId":"0a1b","blobCount":3}`},
	{message{kind: kindHandshakeAck, peer: "0a1b"}, `{"type":1,"version":1,"peerId":"0a1b"}`},
	{message{kind: kindRequest, req: 7, id: hello}, `{"type":2,"requestId":7,"blobId":"` + helloHex + `"}`},
	{message{kind: kindHave}, `{"type":4,"blobIds":[]}`},
	{message{kind: kindHave, ids: []blobnet.ID{hello}}, `{"type":4,"blobIds":["` + helloHex + `"]}`},
	{message{kind: kindWant, ids: []blobnet.ID{hello, {}}}, `{"type":5,"blobIds":["` + helloHex + `","` + strings.Repeat("0", 64) + `"]}`},
	{message{kind: kindNotFound, req: 4294967295, id: hello}, `{"type":6,"requestId":4294967295,"blobId":"` + helloHex + `"}`},
	{message{kind: kindError, text: `not "this"`}, `{"type":7,"message":"not \"this\""}`},
}

func TestMessagesAreWrittenAsTheDocumentSpellsThem(t *testing.T) {
	for _, tt := range golden {
		if got := string(appendText(nil, tt.m)); got != tt.text {
			t.Errorf("%v is\n%s, want\n%s", tt.m.kind, got, tt.text)
		}
		got, err := parse([]byte(tt.text))
		got.count = tt.m.count // which nobody reads
		if err != nil || !reflect.DeepEqual(got, tt.m) {
			t.Errorf("%s is read as %+v, %v", tt.text, got, err)
		}
	}
	b := make([]byte, headSize)
	putHead(b, 0x01020304, hello)
	if got := hex.EncodeToString(b); got != "03"+"01020304"+helloHex {
		t.Errorf("RESPONSE begins with %s", got)
	}
	if req, id, err := parseHead(b); req != 0x01020304 || id != hello || err != nil {
		t.Errorf("%d %s %v", req, id, err)
	}
}

func TestOldClientsAreUnderstood(t *testing.T) {
	for text, want := range map[string]message{
		`{ "type": 0, "extra": {"deep": [1]}, "peerId": "custom-id", "blobCount": "many" }`: {kind: kindHandshake, peer: "custom-id"},
		`{"type":0}`:                           {kind: kindHandshake},
		`{"type":1,"version":1,"peerId":null}`: {kind: kindHandshakeAck},
		`{"type":0,"version":1,"peerId":"` + strings.Repeat("a", 129) + `"}`:                 {kind: kindHandshake},
		`{"type":0,"version":1,"peerId":"\u001b[2J"}`:                                        {kind: kindHandshake},
		`{"blobId":"` + strings.ToUpper(helloHex) + `","requestId":0,"type":2,"priority":1}`: {kind: kindRequest, id: hello},
		`{"type":7}`: {kind: kindError},
		`{"type":7,"message":"a\nb` + strings.Repeat("x", 500) + `"}`: {kind: kindError, text: "a.b" + strings.Repeat("x", maxReason-3)},
		`{"type":99,"what":"new"}`:                                    {kind: 99},
	} {
		if got, err := parse([]byte(text)); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s is read as %+v, %v", text, got, err)
		}
	}
}

func TestMessagesThatBreakTheProtocolAreRefused(t *testing.T) {
	for name, text := range map[string]string{
		"empty": ``, "garbage": `garbage`, "a number": `5`, "no type": `{}`, "a list": `[]`, "type is text": `{"type":"2"}`,
		"negative type": `{"type":-1}`, "trailing bytes": `{"type":7}x`, "half": `{"type":`,
		"version 2": `{"type":0,"version":2,"peerId":"ab","blobCount":0}`,
		"no id":     `{"type":2,"requestId":1}`, "no request id": `{"type":2,"blobId":"` + helloHex + `"}`,
		"request id too large": `{"type":2,"requestId":4294967296,"blobId":"` + helloHex + `"}`,
		"request id negative":  `{"type":2,"requestId":-1,"blobId":"` + helloHex + `"}`,
		"short id":             `{"type":2,"requestId":1,"blobId":"b94d"}`,
		"no hex":               `{"type":2,"requestId":1,"blobId":"` + strings.Repeat("z", 64) + `"}`,
		"RESPONSE as text":     `{"type":3,"requestId":1}`,
		"HAVE without ids":     `{"type":4}`, "ids are no list": `{"type":5,"blobIds":{}}`, "ids are numbers": `{"type":5,"blobIds":[1]}`,
		"ids are nested": `{"type":5,"blobIds":[["` + helloHex + `"]]}`,
		"too many ids":   `{"type":5,"blobIds":["` + strings.Repeat(helloHex+`","`, maxIDs) + helloHex + `"]}`,
		"too long":       `{"type":7,"message":"` + strings.Repeat("x", maxText) + `"}`,
		"very deep":      `{"type":7,"x":` + strings.Repeat("[", 60_000) + strings.Repeat("]", 60_000) + `}`,
	} {
		if m, err := parse([]byte(text)); !errors.Is(err, ErrProtocol) || !reflect.DeepEqual(m, message{}) {
			t.Errorf("%s is read as %+v, %v", name, m, err)
		} else if len(err.Error()) > 1000 {
			t.Errorf("%s: an error of %d bytes", name, len(err.Error()))
		}
	}
	for _, b := range [][]byte{nil, make([]byte, headSize-1), make([]byte, headSize)} {
		if _, _, err := parseHead(b); !errors.Is(err, ErrProtocol) {
			t.Errorf("%x: %v", b, err)
		}
	}
}

func TestTheLargestListFitsInAMessage(t *testing.T) {
	if n := len(appendText(nil, message{kind: kindHave, ids: make([]blobnet.ID, maxIDs)})); n > maxText {
		t.Errorf("%d bytes", n)
	}
}

// FuzzParse checks that no text does harm, and that what was understood is
// written and read again as the same.
func FuzzParse(f *testing.F) {
	for _, g := range golden {
		f.Add([]byte(g.text))
	}
	f.Add([]byte(`{"type":0,"version":1.0,"peerId":5}`))
	f.Add([]byte(fmt.Sprintf(`{"type":5,"blobIds":[%s]}`, strings.Repeat(`"",`, 100))))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := parse(b)
		if err != nil {
			if !errors.Is(err, ErrProtocol) {
				t.Errorf("error %v", err)
			}
			return
		}
		if m.kind > kindError {
			return
		}
		text := appendText(nil, m)
		again, err := parse(text)
		if err != nil || !bytes.Equal(appendText(nil, again), text) {
			t.Errorf("%s is read as %+v, %v", text, again, err)
		}
	})
}

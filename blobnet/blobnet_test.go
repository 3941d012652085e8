package blobnet_test

import (
	"encoding/json"
	"errors"
	"io/fs"
	"slices"
	"strings"
	"testing"

	"github.com/anonymous-media-library/aml/blobnet"
)

const helloHex = "b94d27b9934d3e08a52e52d7da7dabfac484efe37a5380ee9088f7ace2efcde9"

func TestAnIDIsTheSHA256OfTheBytes(t *testing.T) {
	id := blobnet.Sum([]byte("hello world"))
	if got := id.String(); got != helloHex {
		t.Errorf("String is %s, want %s", got, helloHex)
	}
	if got := id.Short(); got != helloHex[:12] {
		t.Errorf("Short is %s, want %s", got, helloHex[:12])
	}
	parsed, err := blobnet.ParseID(helloHex)
	if err != nil || parsed != id {
		t.Errorf("ParseID gives %s and %v", parsed, err)
	}
	if id.IsZero() || !(blobnet.ID{}).IsZero() {
		t.Error("IsZero is wrong")
	}
}

// TestAnIDIsACIDOfIPFS compares with what IPFS tools print for a raw block.
func TestAnIDIsACIDOfIPFS(t *testing.T) {
	const want = "bafkreifzjut3te2nhyekklss27nh3k72ysco7y32koao5eei66wof36n5e"
	if got := blobnet.Sum([]byte("hello world")).CID(); got != want {
		t.Errorf("CID is %s, want %s", got, want)
	}
}

func TestAnIDInJSONIsItsText(t *testing.T) {
	id := blobnet.Sum([]byte("hello world"))
	text, err := json.Marshal(map[blobnet.ID]blobnet.ID{id: id})
	if want := `{"` + helloHex + `":"` + helloHex + `"}`; err != nil || string(text) != want {
		t.Errorf("JSON is %s (%v), want %s", text, err, want)
	}
	var back map[blobnet.ID]blobnet.ID
	if err := json.Unmarshal(text, &back); err != nil || back[id] != id {
		t.Errorf("reading it gives %v and %v", back, err)
	}
}

func TestOneBlobHasOneName(t *testing.T) {
	for name, s := range map[string]string{
		"empty": "", "too short": helloHex[:63], "too long": helloHex + "0", "upper case": strings.ToUpper(helloHex),
		"one upper digit": helloHex[:63] + "E", "a space": " " + helloHex[1:], "a prefix": "0x" + helloHex[2:],
		"no digit": helloHex[:63] + "g", "beyond ASCII": helloHex[:62] + "é", "a zero byte": helloHex[:63] + "\x00",
	} {
		if id, err := blobnet.ParseID(s); err == nil || !id.IsZero() {
			t.Errorf("%s: ParseID gives %s and %v", name, id, err)
		}
	}
}

func TestIDsAreOrderedByTheirBytes(t *testing.T) {
	ids := []blobnet.ID{{2}, {1, 255}, {}, {1}, {255}}
	slices.SortFunc(ids, blobnet.ID.Compare)
	if want := []blobnet.ID{{}, {1}, {1, 255}, {2}, {255}}; !slices.Equal(ids, want) {
		t.Errorf("the order is %v", ids)
	}
}

func TestNotFoundIsNotExist(t *testing.T) {
	if !errors.Is(blobnet.ErrNotFound, fs.ErrNotExist) {
		t.Error("ErrNotFound does not wrap fs.ErrNotExist")
	}
	all := []error{blobnet.ErrNotFound, blobnet.ErrCorrupt, blobnet.ErrTooLarge, blobnet.ErrFull, blobnet.ErrPinned, blobnet.ErrBusy, blobnet.ErrClosed}
	for i, a := range all {
		for j, b := range all {
			if i != j && errors.Is(a, b) {
				t.Errorf("%v is taken for %v", a, b)
			}
		}
	}
}

func TestUtilizationWithoutAQuotaIsZero(t *testing.T) {
	for want, st := range map[float64]blobnet.Stats{0: {CurrentSize: 5}, 0.5: {CurrentSize: 5, MaxSize: 10}} {
		if got := st.Utilization(); got != want {
			t.Errorf("%+v: %v, want %v", st, got, want)
		}
	}
}

func FuzzParseID(f *testing.F) {
	f.Add("")
	f.Add(helloHex)
	f.Add(strings.ToUpper(helloHex))
	f.Add(helloHex + "\n")
	f.Fuzz(func(t *testing.T, s string) {
		id, err := blobnet.ParseID(s)
		if err != nil {
			if !id.IsZero() {
				t.Errorf("ParseID(%q) gives %s with the error %v", s, id, err)
			}
			return
		}
		if id.String() != s {
			t.Errorf("ParseID(%q) is printed as %s", s, id)
		}
		if cid := id.CID(); len(cid) != 59 || !strings.HasPrefix(cid, "bafkrei") {
			t.Errorf("the CID of %s is %s", id, cid)
		}
	})
}

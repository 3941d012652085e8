package channel

import (
	"bytes"
	"errors"
	"testing"
)

// TestDowngradeTheFormatIsInsideWhatIsSigned: nobody can pass a payload off as
// one of another format version, and its signer cannot make one that this
// version reads by older rules.
func TestDowngradeTheFormatIsInsideWhatIsSigned(t *testing.T) {
	for typ, payload := range map[string][]byte{
		TypeRoot: mustEncode(testRoot()), TypeManifest: mustEncode(testManifest()), TypeHead: mustEncode(testHead()),
	} {
		if payload[1] != 1 || payload[2] != 1 {
			t.Fatalf("%s does not begin with its format: %x", typ, payload[:3])
		}
		for _, format := range []byte{0, 2, 23} {
			other := bytes.Clone(payload)
			other[2] = format
			moved := rawSign(typ, payload, "publisher1")
			moved.Payload = other
			if err := moved.Verify(); !errors.Is(err, ErrSignature) {
				t.Errorf("%s moved to format %d: %v", typ, format, err)
			}
			signed := rawSign(typ, other, "publisher1")
			_, err := OpenRoot(signed)
			switch typ {
			case TypeManifest:
				_, err = OpenManifest(signed)
			case TypeHead:
				_, err = OpenHead(signed)
			}
			if !errors.Is(err, ErrVersion) {
				t.Errorf("%s signed as format %d: %v", typ, format, err)
			}
		}
	}
}

package codec

import (
	"encoding/hex"
	"fmt"
	"io"
	"log/slog"

	"github.com/anonymous-media-library/aml/blobnet"
)

// Key opens exactly one sealed blob. It is a secret: neither package fmt nor
// log/slog print it, nor that of a Ref or a File. Encoders do (MarshalText), and
// slog's JSON is one for all other values: never give it something else that
// holds a Key.
type Key [32]byte

const hiddenKey = "key(hidden)"

// String hides the key.
func (Key) String() string { return hiddenKey }

// Format hides the key from every verb of package fmt.
func (Key) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, hiddenKey) }

// LogValue hides the key from slog.
func (Key) LogValue() slog.Value { return slog.StringValue(hiddenKey) }

// MarshalText returns the key as 64 lower-case hex digits: the human JSON of a
// Ref needs it.
func (k Key) MarshalText() ([]byte, error) { return []byte(hex.EncodeToString(k[:])), nil }

// UnmarshalText reads what MarshalText writes.
func (k *Key) UnmarshalText(text []byte) error { return unhex(k[:], text, "key") }

// Hash is a SHA-256 of plaintext or a BLAKE3 tree root: a digest that is not
// the name of a blob.
type Hash [32]byte

// String returns the hash as 64 lower-case hex digits.
func (h Hash) String() string { return hex.EncodeToString(h[:]) }

// MarshalText returns what String does.
func (h Hash) MarshalText() ([]byte, error) { return []byte(h.String()), nil }

// UnmarshalText reads what MarshalText writes.
func (h *Hash) UnmarshalText(text []byte) error { return unhex(h[:], text, "hash") }

func unhex(dst, text []byte, what string) error {
	if len(text) != 2*len(dst) {
		return fmt.Errorf("%s has %d characters, want %d hex digits", what, len(text), 2*len(dst))
	}
	for _, c := range text {
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return fmt.Errorf("%s has a character that is not a lower-case hex digit", what)
		}
	}
	_, err := hex.Decode(dst, text)
	return err
}

// Ref names a sealed blob and opens it. Whoever has the Ref of a file's root
// can read the file; nobody else can.
type Ref struct {
	ID   blobnet.ID `cbor:"1,keyasint" json:"id"`   // SHA-256 of the sealed blob
	Key  Key        `cbor:"2,keyasint" json:"key"`  // ChaCha20-Poly1305 key, used for this blob alone
	Size uint64     `cbor:"3,keyasint" json:"size"` // plaintext bytes of the file that lie below this Ref
	Tree Hash       `cbor:"4,keyasint" json:"tree"` // BLAKE3 root of the sealed blob, for Bao proofs
}

// LogValue is the Ref without its key.
func (r Ref) LogValue() slog.Value {
	return slog.GroupValue(slog.String("id", r.ID.String()), slog.Uint64("size", r.Size))
}

// File is the content of one file as blobs: what Encode returns and what
// NewReader reads. A channel.FileEntry is a File with a name.
type File struct {
	Root   Ref
	Depth  uint8  // 0: Root is the only chunk; n: Root opens an index n levels above the chunks
	Size   uint64 // plaintext bytes; equals Root.Size
	SHA256 Hash   // of the whole plaintext
}

// LogValue is the File without its key.
func (f File) LogValue() slog.Value {
	return slog.GroupValue(slog.Any("root", f.Root), slog.Uint64("size", f.Size), slog.String("sha256", f.SHA256.String()))
}

// MaxDepth is the deepest index tree: 1,024 refs per index and chunks of 1 MiB
// make 1 PiB.
const MaxDepth = 3

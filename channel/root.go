package channel

// Root says who may sign what in a channel. Version 1 founds the channel and
// names it (see ID); version n+1 replaces n when thresholds of both signed it.
// It is the payload of an Envelope of type TypeRoot (design: TUF's root role).
type Root struct {
	Format     uint64      `cbor:"1,keyasint" json:"format"`                       // format version, always 1
	Version    uint64      `cbor:"2,keyasint" json:"version"`                      // of this root, from 1
	Topics     []string    `cbor:"3,keyasint" json:"topics"`                       // sorted; where the channel is listed
	Title      string      `cbor:"4,keyasint" json:"title"`                        // for people
	Class      Class       `cbor:"5,keyasint" json:"class"`                        // who may read bodies
	Kind       Kind        `cbor:"6,keyasint" json:"kind"`                         // what stale means: media plays on, update stops
	Root       KeySet      `cbor:"7,keyasint" json:"root"`                         // who signs the next root
	Publishers []Publisher `cbor:"8,keyasint" json:"publishers"`                   // who signs manifests and heads; sorted by key
	Recovery   *KeySet     `cbor:"9,keyasint,omitempty" json:"recovery,omitempty"` // who may sign the next root when root keys are lost
	Expires    Time        `cbor:"10,keyasint" json:"expires"`                     // after this, nothing new is accepted under this root
	Nonce      HexBytes    `cbor:"11,keyasint,omitempty" json:"nonce,omitempty"`   // 16 random bytes in version 1, absent in later ones
	Prev       *Hash       `cbor:"12,keyasint,omitempty" json:"prev,omitempty"`    // hash of version n-1's payload, absent in version 1
	Revoked    []Revoked   `cbor:"13,keyasint,omitempty" json:"revoked,omitempty"` // publishing keys withdrawn; sorted by key
}

// KeySet is a set of keys of which Threshold must sign.
type KeySet struct {
	Keys      []PublicKey `cbor:"1,keyasint" json:"keys"` // sorted, distinct
	Threshold uint64      `cbor:"2,keyasint" json:"threshold"`
}

// Publisher is a key that may sign for the channel.
type Publisher struct {
	Key     PublicKey `cbor:"1,keyasint" json:"key"`
	Role    Role      `cbor:"2,keyasint" json:"role"`                       // publish (manifests and heads) or head (heads alone)
	Scopes  []string  `cbor:"3,keyasint,omitempty" json:"scopes,omitempty"` // path prefixes it may name; none means all
	Expires Time      `cbor:"4,keyasint,omitempty" json:"expires,omitzero"` // zero means never
	Name    string    `cbor:"5,keyasint,omitempty" json:"name,omitempty"`   // for people; a claim of who signed the root, which proves nothing
}

// Revoked withdraws a publishing key: what its log holds up to Seq stands,
// nothing after it does.
type Revoked struct {
	Key  PublicKey `cbor:"1,keyasint" json:"key"`
	Seq  uint64    `cbor:"2,keyasint" json:"seq"`  // last good manifest, 0 for none
	Hash Hash      `cbor:"3,keyasint" json:"hash"` // of that manifest, zero for none
}

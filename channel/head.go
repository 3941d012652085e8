package channel

// Head says that a log's newest manifest is number Seq with hash Hash, until
// Expires: the payload of an Envelope of type TypeHead (design: TUF's
// timestamp role, made per log).
type Head struct {
	Format  uint64    `cbor:"1,keyasint" json:"format"` // format version, always 1
	Channel ID        `cbor:"2,keyasint" json:"channel"`
	Root    uint64    `cbor:"3,keyasint" json:"root"`
	Log     PublicKey `cbor:"4,keyasint" json:"log"`
	Epoch   uint64    `cbor:"5,keyasint" json:"epoch"`
	Seq     uint64    `cbor:"6,keyasint" json:"seq"`
	Hash    Hash      `cbor:"7,keyasint" json:"hash"` // of manifest Seq
	Issued  Time      `cbor:"8,keyasint" json:"issued"`
	Expires Time      `cbor:"9,keyasint" json:"expires"`
	Mirrors []string  `cbor:"10,keyasint,omitempty" json:"mirrors,omitempty"` // multiaddrs and http URLs, in the publisher's order
}

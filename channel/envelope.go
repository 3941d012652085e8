package channel

// Envelope carries a signed payload (after DSSE, the Dead Simple Signing
// Envelope). Verify first, then decode the very bytes that were signed.
type Envelope struct {
	Type       string      `cbor:"1,keyasint"` // one of TypeRoot, TypeManifest, TypeHead
	Payload    []byte      `cbor:"2,keyasint"`
	Signatures []Signature `cbor:"3,keyasint"` // sorted by key, distinct, at most 32
}

// Signature is an Ed25519 signature over PAE(type, payload).
type Signature struct {
	Key PublicKey `cbor:"1,keyasint" json:"key"`
	Sig []byte    `cbor:"2,keyasint" json:"sig"` // 64 bytes
}

// The types of payload.
const (
	TypeRoot     = "application/vnd.aml.root+cbor"
	TypeManifest = "application/vnd.aml.manifest+cbor"
	TypeHead     = "application/vnd.aml.head+cbor"
)

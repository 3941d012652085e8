package channel

import (
	"bytes"
	"errors"
	"slices"
	"testing"
)

// TestPAEIsThatOfDSSE checks the example of the DSSE specification.
func TestPAEIsThatOfDSSE(t *testing.T) {
	got := PAE("http://example.com/HelloWorld", []byte("hello world"))
	if want := "DSSEv1 29 http://example.com/HelloWorld 11 hello world"; string(got) != want {
		t.Errorf("%q, want %q", got, want)
	}
	if got := PAE("", nil); string(got) != "DSSEv1 0  0 " {
		t.Errorf("%q", got)
	}
}

// TestCrossProtocolSignatureReuse signs one payload under each type and
// presents the signature under each other.
func TestCrossProtocolSignatureReuse(t *testing.T) {
	types := []string{TypeRoot, TypeManifest, TypeHead}
	payload := mustEncode(testHead())
	for _, signed := range types {
		env := rawSign(signed, payload, "publisher1")
		for _, shown := range types {
			env.Type = shown
			err := env.Verify()
			if signed == shown && err != nil || signed != shown && !errors.Is(err, ErrSignature) {
				t.Errorf("signed as %s, shown as %s: %v", signed, shown, err)
			}
		}
	}
}

// TestWrongFileEveryFlippedBitIsNoticed flips each bit of an envelope.
func TestWrongFileEveryFlippedBitIsNoticed(t *testing.T) {
	good := must(EncodeEnvelope(rawSign(TypeHead, mustEncode(testDelegatedHead()), "head1")))(t)
	root := testRoot2()
	for i := range good {
		for bit := range 8 {
			bad := slices.Clone(good)
			bad[i] ^= 1 << bit
			env, err := DecodeEnvelope(bad)
			if err == nil {
				_, err = VerifyHead(env, testID(), root)
			}
			if err == nil {
				t.Fatalf("bit %d of byte %d may be flipped", bit, i)
			}
		}
		if _, err := DecodeEnvelope(good[:i]); !errors.Is(err, ErrMalformed) {
			t.Fatalf("cut off at byte %d: %v", i, err)
		}
	}
}

func TestPayloadLimitsHoldToTheByte(t *testing.T) {
	for typ, limit := range map[string]int{TypeRoot: MaxRoot, TypeManifest: MaxManifest, TypeHead: MaxHead} {
		env := must(Sign(typ, make([]byte, limit), testKey("root1")))(t)
		data := must(EncodeEnvelope(env))(t)
		if _, err := DecodeEnvelope(data); err != nil {
			t.Errorf("%s of %d bytes: %v", typ, limit, err)
		}
		if _, err := Sign(typ, make([]byte, limit+1), testKey("root1")); !errors.Is(err, ErrTooLarge) {
			t.Errorf("%s of %d bytes: %v", typ, limit+1, err)
		}
	}
	if _, err := DecodeEnvelope(make([]byte, MaxEnvelope+1)); !errors.Is(err, ErrTooLarge) {
		t.Errorf("envelope of %d bytes: %v", MaxEnvelope+1, err)
	}
}

// TestLargestEnvelopeFits: 32 signatures over the largest payload stay below
// MaxEnvelope, so that no valid envelope is over a limit that is checked first.
func TestLargestEnvelopeFits(t *testing.T) {
	var names []string
	for i := range MaxSignatures {
		names = append(names, string(rune('A'+i)))
	}
	data := must(EncodeEnvelope(rawSign(TypeRoot, make([]byte, MaxRoot), names...)))(t)
	if len(data) > MaxEnvelope {
		t.Errorf("%d bytes", len(data))
	}
	one := must(EncodeEnvelope(rawSign(TypeManifest, make([]byte, MaxManifest), "A")))(t)
	if len(one) > MaxEnvelope {
		t.Errorf("%d bytes", len(one))
	}
}

func TestSignRefusesWhatItCouldNotVerify(t *testing.T) {
	payload := []byte{1}
	for name, sign := range map[string]func() (Envelope, error){
		"no key":        func() (Envelope, error) { return Sign(TypeRoot, payload) },
		"empty key":     func() (Envelope, error) { return Sign(TypeRoot, payload, PrivateKey{}) },
		"one key twice": func() (Envelope, error) { return Sign(TypeRoot, payload, testKeys("a", "a")...) },
		"no payload":    func() (Envelope, error) { return Sign(TypeRoot, nil, testKey("a")) },
		"unknown type":  func() (Envelope, error) { return Sign("text/plain", payload, testKey("a")) },
		"two on a head": func() (Envelope, error) { return Sign(TypeHead, payload, testKeys("a", "b")...) },
		"another's log": func() (Envelope, error) { return testManifest().Sign(testKey("stranger")) },
	} {
		if env, err := sign(); err == nil || env.Payload != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	env := must(Sign(TypeRoot, payload, testKeys("c", "a", "b")...))(t)
	if !slices.IsSortedFunc(env.Signers(), PublicKey.Compare) {
		t.Error("signatures are not sorted")
	}
	if err := env.Verify(); err != nil {
		t.Error(err)
	}
}

// TestDecodedEnvelopeOwnsItsMemory: buffers of a network reader are used again.
func TestDecodedEnvelopeOwnsItsMemory(t *testing.T) {
	data := must(EncodeEnvelope(rawSign(TypeHead, mustEncode(testHead()), "publisher1")))(t)
	env := must(DecodeEnvelope(data))(t)
	clear(data)
	if err := env.Verify(); err != nil {
		t.Error(err)
	}
	if bytes.Equal(env.Payload, make([]byte, len(env.Payload))) {
		t.Error("payload was cleared")
	}
}

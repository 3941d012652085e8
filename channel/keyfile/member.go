package keyfile

import (
	"errors"
	"fmt"

	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/internal/secretfile"
)

// LoadMember reads a member key as Load reads a private key, with the same
// errors.
func LoadMember(path string) (channel.MemberKey, error) {
	text, err := secretfile.Read(path, maxSize)
	if errors.Is(err, secretfile.ErrUnusable) {
		err = fmt.Errorf("%w: %w", channel.ErrMalformed, err)
	}
	var key channel.MemberKey
	if err == nil {
		key, err = channel.DecodeMemberPEM(text)
	}
	if err != nil {
		return channel.MemberKey{}, fmt.Errorf("reading member key %s: %w", path, err)
	}
	return key, nil
}

// WriteMember writes a member key as Write writes a private key.
func WriteMember(path string, key channel.MemberKey) error {
	text, err := channel.EncodeMemberPEM(key)
	if err == nil {
		err = secretfile.Write(path, text)
	}
	if err != nil {
		return fmt.Errorf("writing member key %s: %w", path, err)
	}
	return nil
}

package api

import (
	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/config"
	"github.com/anonymous-media-library/aml/node"
)

// What is done without a node: it needs neither a home nor a network.

// KeyInfo is a key's public half and where the key lies.
type KeyInfo = node.KeyInfo

// ParsePublicKey reads a public key, 64 lower-case hex digits.
func ParsePublicKey(s string) (PublicKey, error) { return channel.ParsePublicKey(s) }

// IsMember reports whether s is a member's key.
func IsMember(s string) bool {
	_, err := channel.ParseMember(s)
	return err == nil
}

// JoinDrafts reads copies of one root draft and puts their signatures together.
func JoinDrafts(docs []Document) (RootDraft, RootResult, error) {
	d, res, err := node.JoinDrafts(docs)
	return d, res, orNil(err)
}

// SignDraft signs a root draft with the keys of files.
func SignDraft(d RootDraft, files []string) (RootDraft, RootResult, error) {
	d, res, err := node.SignDraft(d, files)
	return d, res, orNil(err)
}

// NewKey makes a key in a new file.
func NewKey(file string) (KeyInfo, error) {
	info, err := node.NewKey(file, false)
	return info, orNil(err)
}

// NewNamedKey makes a key in the home's folder of keys.
func NewNamedKey(cfg config.Config, name string) (KeyInfo, error) {
	file, err := node.KeyFile(cfg.Paths.Keys, name)
	if err != nil {
		return KeyInfo{}, toError(err)
	}
	info, err := node.NewKey(file, true)
	return info, orNil(err)
}

// ShowKey tells the public half of a key file.
func ShowKey(file string) (KeyInfo, error) {
	info, err := node.ShowKey(file)
	return info, orNil(err)
}

// ShowKeys tells the public halves of all keys of a home, and of which it could
// not.
func ShowKeys(cfg config.Config) (keys []KeyInfo, problems []error, err error) {
	keys, problems, err = node.ShowKeys(cfg.Paths.Keys)
	return keys, problems, orNil(err)
}

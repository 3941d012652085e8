package node

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/channel/keyfile"
	"github.com/anonymous-media-library/aml/publisher"
)

// What needs no node: it works on a machine without network and without a home,
// which is where root keys are kept.

// JoinDrafts reads copies of one root draft and puts their signatures together.
// It says what the root changes and whose signatures it lacks.
func JoinDrafts(docs []Document) (channel.RootDraft, RootResult, error) {
	d, err := joinDrafts(docs)
	if err != nil {
		return channel.RootDraft{}, RootResult{}, err
	}
	res, err := describeDraft(d)
	return d, res, err
}

// SignDraft signs a draft with the keys of files, and says what it lacks then.
func SignDraft(d channel.RootDraft, files []string) (channel.RootDraft, RootResult, error) {
	d, err := publisher.SignDraft(d, keyfile.Keys{}, files...)
	if err != nil {
		return channel.RootDraft{}, RootResult{}, badKey(err)
	}
	res, err := describeDraft(d)
	return d, res, err
}

// KeyInfo is a key's public half, which is what others are told.
type KeyInfo struct {
	Key    channel.PublicKey `json:"key,omitzero"`
	Member *channel.Member   `json:"member,omitempty"` // instead of Key: it reads and does not sign
	File   string            `json:"file"`

	Plugin string `json:"plugin,omitempty"` // that holds the private half; empty: the file does
}

// NewKey makes a key and writes it to a new file, whose folder is made if dir
// is true.
func NewKey(file string, dir bool) (KeyInfo, error) {
	key, err := channel.GenerateKey()
	if err != nil {
		return KeyInfo{}, err
	}
	if dir {
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			return KeyInfo{}, fmt.Errorf("making the folder of keys: %w", err)
		}
	}
	switch err := keyfile.Write(file, key); {
	case errors.Is(err, fs.ErrExist):
		return KeyInfo{}, fmt.Errorf("%w; keys are not written over: give another name, or see key-show", err)
	case err != nil:
		return KeyInfo{}, err
	}
	return KeyInfo{Key: key.Public(), File: file}, nil
}

// KeyFile names the file of a key that is named by a word: it lies in the folder
// of keys.
func KeyFile(dir, name string) (string, error) {
	if name == "" || len(name) > 64 || strings.Trim(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_") != "" {
		return "", badRequest("a key is named by 1 to 64 letters, digits, - and _, not %q; for a file elsewhere use -o", name)
	}
	return filepath.Join(dir, name+".pem"), nil
}

// ShowKey tells the public half of a file with a key that signs, or with a member's.
func ShowKey(file string) (KeyInfo, error) {
	key, err := keyfile.Load(file)
	if err != nil {
		if member, merr := keyfile.LoadMember(file); merr == nil {
			m := member.Public()
			return KeyInfo{Member: &m, File: file}, nil
		}
		return KeyInfo{}, badKey(err)
	}
	plugin, err := keyfile.Plugin(file)
	return KeyInfo{Key: key.Public(), File: file, Plugin: plugin}, err
}

// ShowKeys tells the public halves of all keys in a folder; problems says which
// could not be read, and why.
func ShowKeys(dir string) (keys []KeyInfo, problems []error, err error) {
	keys = []KeyInfo{}
	files, err := filepath.Glob(filepath.Join(dir, "*.pem"))
	for _, file := range files {
		key, err := ShowKey(file)
		if err != nil {
			problems = append(problems, err)
			continue
		}
		keys = append(keys, key)
	}
	return keys, problems, err
}

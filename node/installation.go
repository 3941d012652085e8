package node

import (
	"context"
	"crypto/hkdf"
	"crypto/sha256"
)

// InstallationRequest asks for the number of an installation that is to be.
type InstallationRequest struct {
	Folder string `json:"folder"` // absolute
}

// InstallationResult has it. It is told to nobody but the folder's state.
type InstallationResult struct {
	Number []byte `json:"number"` // 16 bytes
}

// Installation gives the number that an application in a folder has from its first
// installation on. It is the same whenever it is asked for, so that who only looks is
// told what will be installed; and only this home can tell it, since it decides who is
// among the first that have a version.
func (n *Node) Installation(_ context.Context, req InstallationRequest, _ func(any)) (InstallationResult, error) {
	if req.Folder == "" {
		return InstallationResult{}, badRequest("folder is empty: of which one?")
	}
	secret, err := n.identity.Raw()
	if err != nil {
		return InstallationResult{}, err
	}
	number, err := hkdf.Key(sha256.New, secret, nil, "aml installation 1\x00"+req.Folder, 16)
	return InstallationResult{number}, err
}

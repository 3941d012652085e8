package api

import (
	"context"

	"github.com/anonymous-media-library/aml/node"
)

// What the verb of updates takes and gives.
type (
	UpdateRequest = node.UpdateRequest
	UpdateResult  = node.UpdateResult

	InstallationRequest = node.InstallationRequest
	InstallationResult  = node.InstallationResult
)

// CheckUpdate says what is wrong with a request. It needs no node.
func CheckUpdate(req UpdateRequest) error { return orNil(node.CheckUpdate(req)) }

// UpdateCheck chooses the version that an installation is to have.
func (c *Client) UpdateCheck(ctx context.Context, req UpdateRequest) (UpdateResult, error) {
	return call[UpdateResult](ctx, c, "update-check", req, nil)
}

// Installation gives the number of an installation that is to be.
func (c *Client) Installation(ctx context.Context, req InstallationRequest) (InstallationResult, error) {
	return call[InstallationResult](ctx, c, "update-installation", req, nil)
}

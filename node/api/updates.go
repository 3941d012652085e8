package api

import (
	"context"

	"github.com/anonymous-media-library/aml/node"
)

// What the verb of updates takes and gives.
type (
	UpdateRequest = node.UpdateRequest
	UpdateResult  = node.UpdateResult
)

// CheckUpdate says what is wrong with a request. It needs no node.
func CheckUpdate(req UpdateRequest) error { return orNil(node.CheckUpdate(req)) }

// UpdateCheck chooses the version that an installation is to have.
func (c *Client) UpdateCheck(ctx context.Context, req UpdateRequest) (UpdateResult, error) {
	return call[UpdateResult](ctx, c, "update-check", req, nil)
}

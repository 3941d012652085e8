package client

import "time"

// Hasten makes c wait a moment only for what may be lost.
func Hasten(c *Client) { c.losses = losses{time.Millisecond, time.Millisecond} }

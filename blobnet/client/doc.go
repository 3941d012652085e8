// Package client is the blob layer for programs that embed it.
package client

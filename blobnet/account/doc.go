// Package account counts what is moved with whom.
package account

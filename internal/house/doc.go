// Package house holds the test that keeps the floors: which room may import
// which, and in which rooms alone a large library may stand. It has no code of
// its own and must never be imported.
package house

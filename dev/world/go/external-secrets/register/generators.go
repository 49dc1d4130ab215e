// Package register names no generator: nothing here needs one.
package register

//go:build tools

// Package tools names the programs that the test world builds, so that go.mod and go.sum pin them.
package tools

import (
	_ "github.com/hashicorp/vault/builtin/credential/aws/cmd/aws"
	_ "github.com/hashicorp/vault/builtin/credential/ldap/cmd/ldap"
)

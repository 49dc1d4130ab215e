// External-secrets is External Secrets Operator's controller, with the providers that register/providers.go names.
package main

import "github.com/external-secrets/external-secrets/cmd/controller"

func main() {
	controller.Execute()
}

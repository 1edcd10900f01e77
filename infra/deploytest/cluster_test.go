package deploytest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	monitoring "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	structural "k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/pruning"
	crd "k8s.io/apiextensions-apiserver/pkg/apiserver/validation"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/util/validation/field"
	request "k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/kubernetes/pkg/api/legacyscheme"
	_ "k8s.io/kubernetes/pkg/apis/apps/install" // teaches the scheme its kinds
	_ "k8s.io/kubernetes/pkg/apis/autoscaling/install"
	_ "k8s.io/kubernetes/pkg/apis/batch/install"
	"k8s.io/kubernetes/pkg/apis/core"
	_ "k8s.io/kubernetes/pkg/apis/core/install"
	_ "k8s.io/kubernetes/pkg/apis/networking/install"
	_ "k8s.io/kubernetes/pkg/apis/policy/install"
	_ "k8s.io/kubernetes/pkg/apis/rbac/install"
	"k8s.io/kubernetes/pkg/registry/apps/deployment"
	"k8s.io/kubernetes/pkg/registry/apps/statefulset"
	"k8s.io/kubernetes/pkg/registry/autoscaling/horizontalpodautoscaler"
	"k8s.io/kubernetes/pkg/registry/batch/cronjob"
	"k8s.io/kubernetes/pkg/registry/batch/job"
	"k8s.io/kubernetes/pkg/registry/core/configmap"
	"k8s.io/kubernetes/pkg/registry/core/persistentvolumeclaim"
	"k8s.io/kubernetes/pkg/registry/core/service"
	"k8s.io/kubernetes/pkg/registry/core/serviceaccount"
	"k8s.io/kubernetes/pkg/registry/networking/ingress"
	"k8s.io/kubernetes/pkg/registry/networking/networkpolicy"
	"k8s.io/kubernetes/pkg/registry/policy/poddisruptionbudget"
	"k8s.io/kubernetes/pkg/registry/rbac/role"
	"k8s.io/kubernetes/pkg/registry/rbac/rolebinding"
	psa "k8s.io/pod-security-admission/api"
	"k8s.io/pod-security-admission/policy"
	"sigs.k8s.io/yaml"
)

// namespace is where the chart's objects are created in the tests.
const namespace = "portal"

// strategies is what the API server does before it creates an object of a kind.
// A kind that is not here is refused, so that a new one is not waved through.
func strategies() map[string]rest.RESTCreateStrategy {
	return map[string]rest.RESTCreateStrategy{
		"Deployment":              deployment.Strategy,
		"StatefulSet":             statefulset.Strategy,
		"CronJob":                 cronjob.Strategy,
		"Job":                     job.Strategy,
		"Service":                 service.Strategy,
		"ConfigMap":               configmap.Strategy,
		"ServiceAccount":          serviceaccount.Strategy,
		"PersistentVolumeClaim":   persistentvolumeclaim.Strategy,
		"PodDisruptionBudget":     poddisruptionbudget.Strategy,
		"HorizontalPodAutoscaler": horizontalpodautoscaler.Strategy,
		"NetworkPolicy":           networkpolicy.Strategy,
		"Ingress":                 ingress.Strategy,
		"Role":                    role.Strategy,
		"RoleBinding":             rolebinding.Strategy,
	}
}

// strict refuses fields that a kind does not have, as kubectl does.
var strict = serializer.NewCodecFactory(legacyscheme.Scheme, serializer.EnableStrict).UniversalDecoder()

// create does what the API server does when it is given an object, short of
// keeping it: decode strictly, set defaults, validate. Kinds of others are held
// against their definitions.
func create(text []byte) error {
	var kind struct{ APIVersion, Kind string }
	if err := yaml.Unmarshal(text, &kind); err != nil {
		return err
	}
	gvk := schema.FromAPIVersionAndKind(kind.APIVersion, kind.Kind)
	switch gvk.Group {
	case "keda.sh":
		return createCustom(gvk, text)
	case "monitoring.coreos.com":
		return decodeMonitor(gvk, text)
	}
	strategy, known := strategies()[gvk.Kind]
	if !known {
		return fmt.Errorf("%s is a kind that nobody here checks: give it its strategy", gvk)
	}
	text, err := yaml.YAMLToJSONStrict(text)
	if err != nil {
		return err
	}
	object, err := runtime.Decode(strict, text)
	if err != nil {
		return err
	}
	m, err := meta.Accessor(object)
	if err != nil {
		return err
	}
	m.SetNamespace(namespace)
	if s, ok := object.(*core.Service); ok && s.Spec.ClusterIP != "" {
		s.Spec.ClusterIPs = []string{s.Spec.ClusterIP} // done by the server's storage
	}
	rest.FillObjectMetaSystemFields(m)
	return rest.BeforeCreate(strategy, createContext(gvk, m.GetName()), object)
}

// createContext is what the strategies read of a request.
func createContext(gvk schema.GroupVersionKind, name string) context.Context {
	ctx := request.WithNamespace(context.Background(), namespace)
	return request.WithRequestInfo(ctx, &request.RequestInfo{
		IsResourceRequest: true, Verb: "create", APIGroup: gvk.Group, APIVersion: gvk.Version, Name: name,
	})
}

// keda is the release whose definitions are taken, with the checksum that the
// module's archive must have.
const (
	keda    = "github.com/kedacore/keda/v2@v2.21.0"
	kedaSum = "h1:R6z2HZvstK4RLUMxroNACzBj74xGxt3kG59b5Xc+Xps="
)

// kedaFolder is where the Go command has put KEDA's source.
var kedaFolder = sync.OnceValues(func() (string, error) {
	out, err := exec.Command("go", "mod", "download", "-json", keda).Output()
	if err != nil {
		return "", fmt.Errorf("download %s: %w: %s", keda, err, out)
	}
	var module struct{ Dir, Sum string }
	if err := json.Unmarshal(out, &module); err != nil {
		return "", err
	}
	if module.Sum != kedaSum {
		return "", fmt.Errorf("%s has checksum %s, want %s", keda, module.Sum, kedaSum)
	}
	return module.Dir, nil
})

// createCustom holds an object against the definition that KEDA installs in a
// cluster: unknown fields, types, required fields, and its rules.
func createCustom(gvk schema.GroupVersionKind, text []byte) error {
	definition, err := definitionOf(gvk)
	if err != nil {
		return err
	}
	var object unstructured.Unstructured
	if text, err = yaml.YAMLToJSONStrict(text); err != nil {
		return err
	}
	if err := object.UnmarshalJSON(text); err != nil { // numbers as the server has them
		return err
	}
	object.SetNamespace(namespace)
	validator, _, err := crd.NewSchemaValidator(definition)
	if err != nil {
		return err
	}
	shape, err := structural.NewStructural(definition)
	if err != nil {
		return err
	}
	errs := crd.ValidateCustomResource(nil, object.Object, validator)
	more, _ := cel.NewValidator(shape, true, 1_000_000).Validate(context.Background(), nil, shape, object.Object, nil, 1_000_000)
	errs = append(errs, more...)
	options := structural.UnknownFieldPathOptions{TrackUnknownFieldPaths: true}
	for _, path := range pruning.PruneWithOptions(object.DeepCopy().Object, shape, true, options) {
		errs = append(errs, field.Forbidden(field.NewPath(path), "there is no such field"))
	}
	return errs.ToAggregate()
}

// definitionOf is the schema of a kind of KEDA's.
func definitionOf(gvk schema.GroupVersionKind) (*apiextensions.JSONSchemaProps, error) {
	folder, err := kedaFolder()
	if err != nil {
		return nil, err
	}
	text, err := os.ReadFile(filepath.Join(folder, "config/crd/bases", "keda.sh_"+strings.ToLower(gvk.Kind)+"s.yaml"))
	if err != nil {
		return nil, err
	}
	var definition apiextensionsv1.CustomResourceDefinition
	if err := yaml.UnmarshalStrict(text, &definition); err != nil {
		return nil, err
	}
	for _, v := range definition.Spec.Versions {
		if v.Name == gvk.Version {
			var props apiextensions.JSONSchemaProps
			err := apiextensionsv1.Convert_v1_JSONSchemaProps_To_apiextensions_JSONSchemaProps(v.Schema.OpenAPIV3Schema, &props, nil)
			return &props, err
		}
	}
	return nil, fmt.Errorf("KEDA has no %s", gvk)
}

// decodeMonitor holds an object against the Prometheus operator's Go types: fields
// and types, but none of the rules that its definitions add.
func decodeMonitor(gvk schema.GroupVersionKind, text []byte) error {
	kinds := map[string]any{"PodMonitor": new(monitoring.PodMonitor), "PrometheusRule": new(monitoring.PrometheusRule)}
	into, known := kinds[gvk.Kind]
	if !known || gvk.Version != "v1" {
		return fmt.Errorf("%s is a kind that nobody here checks", gvk)
	}
	return yaml.UnmarshalStrict(text, into)
}

// restricted says what the strictest of Kubernetes' pod security standards has
// against a pod.
func restricted(meta corev1.PodTemplateSpec) error {
	evaluator, err := policy.NewEvaluator(policy.DefaultChecks(), nil)
	if err != nil {
		return err
	}
	level := psa.LevelVersion{Level: psa.LevelRestricted, Version: psa.LatestVersion()}
	sum := policy.AggregateCheckResults(evaluator.EvaluatePod(level, &meta.ObjectMeta, &meta.Spec))
	if sum.Allowed {
		return nil
	}
	return errors.New(sum.ForbiddenDetail())
}

// TestTheClusterRefuses: the check that stands in for a cluster says no where one
// would.
func TestTheClusterRefuses(t *testing.T) {
	const policyText = `{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: door}, spec: {podSelector: {}, policyTypes: [%s]}}`
	const scaled = `{apiVersion: keda.sh/v1alpha1, kind: ScaledObject, metadata: {name: speed}, spec: {scaleTargetRef: {name: speed}, %s}}`
	for _, c := range []struct{ name, text, says string }{
		{"a policy", fmt.Sprintf(policyText, "Ingress"), ""},
		{"a policy type with a typing error", fmt.Sprintf(policyText, "Ingres"), "policyTypes"},
		{"a field that is not there", `{apiVersion: v1, kind: Service, metadata: {name: a}, spec: {ports: [{port: 1}], selektor: {a: b}}}`, "selektor"},
		{"a name with a capital", `{apiVersion: v1, kind: ServiceAccount, metadata: {name: Speed}}`, "Speed"},
		{"a disruption budget of two minds", `{apiVersion: policy/v1, kind: PodDisruptionBudget, metadata: {name: a}, spec: {minAvailable: 1, maxUnavailable: 1}}`, "minAvailable"},
		{"a kind that nobody checks", `{apiVersion: apps/v1, kind: DaemonSet, metadata: {name: a}}`, "DaemonSet"},
		{"a trigger", fmt.Sprintf(scaled, `triggers: [{type: kafka, metadata: {lagThreshold: "1"}}]`), ""},
		{"a trigger's number that is no text", fmt.Sprintf(scaled, `triggers: [{type: kafka, metadata: {lagThreshold: 1}}]`), "lagThreshold"},
		{"no trigger", fmt.Sprintf(scaled, `minReplicaCount: 1`), "triggers"},
		{"a field that KEDA has not", fmt.Sprintf(scaled, `triggers: [], minReplicas: 1`), "minReplicas"},
		{"a monitor's field that is not there", `{apiVersion: monitoring.coreos.com/v1, kind: PodMonitor, metadata: {name: a}, spec: {selectors: {}}}`, "selectors"},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := create([]byte(c.text))
			if c.says == "" && err != nil {
				t.Fatalf("refused: %v", err)
			}
			if c.says != "" && (err == nil || !strings.Contains(err.Error(), c.says)) {
				t.Errorf("got %v, want an error with %q", err, c.says)
			}
		})
	}
}

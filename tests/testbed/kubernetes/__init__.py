"""A kube-apiserver with etcd, its certificates and kubeconfigs."""

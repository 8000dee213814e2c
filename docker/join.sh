#!/bin/sh
# Makes two node homes that know each other, with the commands of the README's "Join two nodes by
# hand". Runs once: where both homes are there already it does nothing.
set -eu

homes=${HOMES:-/homes}
lake_url=${LAKE_URL:-https://lake:8443}
hill_url=${HILL_URL:-https://hill:8443}
lake_ports=${LAKE_PORTS:---port 8443 --grpc-port 8444 --ops-port 8445}
hill_ports=${HILL_PORTS:---port 8443 --grpc-port 8444 --ops-port 8445}
address=${ADDRESS:-0.0.0.0}
records=${RECORDS:-/opt/tefca-node/examples/records}

if [ -e "$homes/lake/joined" ] && [ -e "$homes/hill/joined" ]; then
  echo "The two homes are there already."
  exit 0
fi

cd "$homes"

# the variable's name stands in node.toml, its value does not
# shellcheck disable=SC2016,SC2086
tefca-node --home lake init --name "Lake Hospital" --hcid urn:oid:2.999.1 --purpose T-TRTMNT \
  --public-url "$lake_url" --host "$address" $lake_ports \
  --database-url '${DATABASE_URL}' --development-ca ca
# shellcheck disable=SC2086
tefca-node --home hill init --name "Hill Clinic" --hcid urn:oid:2.999.2 --purpose T-TRTMNT \
  --public-url "$hill_url" --host "$address" $hill_ports --development-ca ca

tefca-node --home lake directory export --self --out lake/lake.json
tefca-node --home hill directory export --self --out hill/hill.json
tefca-node --home lake directory import lake/lake.json --source self
tefca-node --home lake directory import hill/hill.json --source hill
tefca-node --home hill directory import hill/hill.json --source self
tefca-node --home hill directory import lake/lake.json --source lake

tefca-node --home lake peer pin urn:oid:2.999.2 \
  hill/keys/server.pem hill/keys/client.pem hill/keys/saml.pem
tefca-node --home hill peer pin urn:oid:2.999.1 \
  lake/keys/server.pem lake/keys/client.pem lake/keys/saml.pem
tefca-node --home hill records add "$records"

touch lake/joined hill/joined

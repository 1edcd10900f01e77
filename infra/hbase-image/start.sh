#!/usr/bin/env bash
# Starts HBase in the foreground and notes in $DATA/ready when its master has said that it is done: its ports open long before.
set -euo pipefail
data=${DATA:-/data} home=${HBASE_IMAGE_HOME:-/hbase}
rm -f "$data/ready"
opens=()
for package in java.io java.lang java.lang.reflect java.net java.nio java.util java.util.concurrent jdk.internal.ref sun.nio.ch; do
  opens+=(--add-opens "java.base/$package=ALL-UNNAMED")
done
watch() { # passes every line on, and remembers the one that matters
  while IFS= read -r line; do
    printf '%s\n' "$line"
    case $line in *'Master has completed initialization'*) : >"$data/ready" ;; esac
  done
}
exec "${JAVA_HOME:+$JAVA_HOME/bin/}java" -Xmx"${HEAP:-1g}" -XX:+UseG1GC -XX:+ExitOnOutOfMemoryError -Djava.net.preferIPv4Stack=true \
  "${opens[@]}" --add-modules jdk.unsupported \
  --add-exports java.base/jdk.internal.misc=ALL-UNNAMED --add-exports java.security.jgss/sun.security.krb5=ALL-UNNAMED \
  -Dorg.apache.hbase.thirdparty.io.netty.tryReflectionSetAccessible=true \
  -Dfernweh.data="$data" -Dfernweh.host="${HBASE_HOST:-hbase}" -Dfernweh.zookeeper="${ZOOKEEPER_PORT:-2181}" \
  -Dfernweh.master="${MASTER_PORT:-16000}" -Dfernweh.region="${REGION_PORT:-16020}" \
  -Dlog4j2.configurationFile="$home/conf/log4j2.properties" -cp "$home/conf:$home/lib/*" \
  org.apache.hadoop.hbase.master.HMaster start > >(watch)

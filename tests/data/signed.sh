#!/bin/sh
# Makes signed.der: self-signed certificates one behind the other, one a kind of key and signature, each named by what
# it is. Made with OpenSSL 3.0.
set -e
out=$(cd "$(dirname "$0")" && pwd)/signed.der
cd "$(mktemp -d)"
: > "$out"
certificate() { # name, key, hash, options
    name=$1 key=$2 hash=$3
    shift 3
    openssl req -x509 -subj "/CN=$name" -days 3650 -outform DER -key "$key" "-$hash" "$@" >> "$out"
}
pss() { # name, key, hash, salt, options
    name=$1 key=$2 hash=$3 salt=$4
    shift 4
    certificate "$name" "$key" "$hash" -sigopt rsa_padding_mode:pss -sigopt "rsa_pss_saltlen:$salt" "$@"
}
for bits in 512 1024 1025 2048; do openssl genrsa -out "rsa$bits" "$bits"; done
openssl genrsa -3 -out rsa2048e3 2048
for hash in md5 sha1 sha224 sha256; do certificate "rsa512-$hash" rsa512 $hash; done
for hash in sha224 sha384 sha512 sha3-224 sha3-256 sha3-384 sha3-512; do certificate "rsa1024-$hash" rsa1024 $hash; done
certificate rsa2048e3-sha256 rsa2048e3 sha256
pss rsa1024-pss-sha1 rsa1024 sha1 digest
pss rsa1024-pss-sha224 rsa1024 sha224 digest
pss rsa1025-pss-sha256 rsa1025 sha256 digest
pss rsa1024-pss-salt0 rsa1024 sha256 0
pss rsa2048-pss-salt20 rsa2048 sha256 20
pss rsa1024-pss-mgf1-sha1 rsa1024 sha256 32 -sigopt rsa_mgf1_md:sha1
openssl genpkey -algorithm RSA-PSS -pkeyopt rsa_keygen_bits:1024 -out rsapss
certificate rsapss-sha256 rsapss sha256
openssl genpkey -algorithm RSA-PSS -pkeyopt rsa_keygen_bits:1024 -pkeyopt rsa_pss_keygen_md:sha256 \
    -pkeyopt rsa_pss_keygen_mgf1_md:sha256 -pkeyopt rsa_pss_keygen_saltlen:32 -out rsapss-limited
certificate rsapss-limited-sha256 rsapss-limited sha256
for curve in prime256v1 secp384r1 secp521r1 secp256k1 brainpoolP256r1 brainpoolP384r1; do
    openssl ecparam -name $curve -genkey -noout -out $curve
    for hash in sha1 sha224 sha256 sha384 sha512; do certificate "$curve-$hash" $curve $hash; done
done
for hash in sha3-224 sha3-256 sha3-384 sha3-512; do
    certificate "prime256v1-$hash" prime256v1 $hash
    certificate "secp521r1-$hash" secp521r1 $hash
done
for curve in brainpoolP256t1 brainpoolP384t1; do
    openssl ecparam -name $curve -genkey -noout -out $curve
    certificate "$curve-sha256" $curve sha256
done
for curve in brainpoolP512r1 brainpoolP512t1 secp224r1; do
    openssl ecparam -name $curve -genkey -noout -out $curve
    for hash in sha1 sha224 sha256 sha384 sha512 sha3-224 sha3-512; do certificate "$curve-$hash" $curve $hash; done
done
openssl ec -in secp224r1 -conv_form compressed -out compressed
certificate secp224r1-compressed compressed sha256
openssl ecparam -name prime256v1 -param_enc explicit -genkey -noout -out explicit
certificate explicit-sha256 explicit sha256
openssl ecparam -name SM2 -genkey -noout -out sm2
certificate sm2-common-id sm2 sm3 -sigopt distid:1234567812345678
certificate sm2-no-id sm2 sm3
certificate sm2-other-id sm2 sm3 -sigopt distid:somebody
openssl dsaparam -genkey -noout -out dsa1024 1024
openssl dsaparam -genkey -noout -out dsa2048 2048
for hash in sha1 sha256 sha512 sha3-256; do certificate "dsa1024-$hash" dsa1024 $hash; done
certificate dsa2048-sha224 dsa2048 sha224
# By rsa1024 over "hello", as before TLS 1.2.
{ printf hello | openssl md5 -binary; printf hello | openssl sha1 -binary; } |
    openssl pkeyutl -sign -inkey rsa1024 -pkeyopt digest:md5-sha1 > "$(dirname "$out")/md5-sha1.sig"

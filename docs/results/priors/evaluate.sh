#!/usr/bin/env bash
# Evaluates the priors of this page, each into NAME.json beside this file.
# Call it in the folder of the runs, with the images in its folder `data`: evaluate.sh [NAME...]
set -euo pipefail
names=("$@")
out=$(dirname "$(realpath "$0")")

evaluate() { # NAME RUN OPTIONS...
    name=$1
    shift
    if [ ${#names[@]} -eq 0 ] || [[ " ${names[*]} " == *" $name "* ]]; then
        echo "$name: smalti evaluate $*"
        smalti evaluate "$@" --out "$out/$name.json"
    fi
}

cifar=(--data data/cifar10-test.parquet -n 3000)
crops=(--held-out --data data/imagenet500.tar --reference data/imagenet500.tar -n 1500 --few)
streets=(--data data/camvid-val.tar -n 510 --few)

evaluate cifar10 cifar/prior "${cifar[@]}"
evaluate class class "${cifar[@]}"
evaluate crops64 crops/prior "${crops[@]}"
evaluate low_resolution low "${crops[@]}"
evaluate low_resolution_zeros zeros "${crops[@]}"
evaluate edges edge "${crops[@]}"
evaluate segmentation seg "${streets[@]}"
evaluate coordinates place "${streets[@]}"
evaluate completion street "${streets[@]}"
evaluate depth deep --data drin -n 500 --few

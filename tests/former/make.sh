#!/bin/sh
# Makes former.tar.xz and expected.json in an empty folder, with the `smalti` on the path.
set -e
here=$(cd "$(dirname "$0")" && pwd)
export OMP_NUM_THREADS=1

python "$here/data.py"

each="--image.size=16 --training.device=cpu --training.precision=float32 --training.batch_size=4
 --training.total_steps=4 --training.log_steps=1 --training.eval_steps=2 --training.save_steps=4
 --training.picture_steps=100 --data former/scenes"
vqgan="train vqgan $each --vqgan.channels=8 --vqgan.norm_groups=4 --vqgan.channel_multipliers=[1,1]
 --vqgan.code_dim=4 --vqgan.codebook_size=16 --vqgan.middle_attention=false
 --loss.perceptual.kind=none --discriminator.filters=4 --discriminator.layers=1"
maps="$vqgan --training.total_steps=1 --loss.adversary.kind=none --vqgan.quantizer.kind=fsq"
prior="train prior $each --vqgan former/vqgan --codes.views=2 --prior.width=8 --prior.heads=2"
gpt="$prior --prior.layers=1"

smalti $vqgan --out former/vqgan --vqgan.quantizer.lookup_dim=4 --loss.adversary.start=2 \
    --loss.adversary.warmup=1 --loss.adversary.ramp=2
smalti train pixels --data former/scenes --image.size=16 --codebook_size=8 --out former/pixels
smalti $maps --out former/labels --vqgan.content.kind=labels --vqgan.content.classes=4
smalti $maps --out former/depth --vqgan.content.kind=depth
smalti $maps --out former/edges --vqgan.content.kind=edges
smalti $gpt --out former/unconditional
smalti $gpt --out former/class --condition class
smalti $gpt --out former/segmentation --condition segmentation=former/labels --condition coordinates
smalti $gpt --out former/maps --condition depth=former/depth --condition edges=former/edges \
    --condition low_resolution --low_resolution_factor=2
smalti $gpt --out former/keypoints --condition keypoints --condition coordinate_map
smalti $prior --out former/pixelsnail --condition class --prior.kind=pixelsnail --prior.blocks=1 \
    --prior.residual_blocks=1

smalti encode former/vqgan former/scenes/images --size=16 --out former/codes.safetensors
for run in unconditional class segmentation maps keypoints pixelsnail; do
    case $run in
        class | pixelsnail) asked="--condition cat" ;;
        segmentation) asked="--condition segmentation=former/asked/labels.png" ;;
        maps) asked="--condition depth=former/asked/depth.png edges=former/asked/photo.png
            low_resolution=former/asked/small.png" ;;
        keypoints) asked="--condition keypoints=former/scenes/keypoints/cat/01.json" ;;
        *) asked= ;;
    esac
    smalti sample former/$run -n 1 $asked --device=cpu --out former/drawn/$run
done

# A canvas of 32x32 codes whose drawing is stopped.
canvas="sample former/unconditional -n 1 --size=64x64 --device=cpu"
smalti $canvas --out former/drawn/canvas
smalti $canvas --out former/canvas &
while [ ! -e former/canvas/.unfinished.lock ]; do sleep 0.05; done
sleep 0.5
kill -TERM $!
wait || test -e former/canvas/unfinished.safetensors

# What goes into the archive: all but what is drawn or locked, and what nothing goes on from.
find former -name curves.png -delete
find former -name tb -prune -exec rm -r {} +
find former -name "*.lock" -delete
rm -r former/labels/checkpoints/step_* former/depth/checkpoints/step_* \
    former/edges/checkpoints/step_*
tar --sort=name --owner=0 --group=0 --numeric-owner -cJf former.tar.xz former

# What the former code computes where they go on.
for run in vqgan unconditional class segmentation maps keypoints pixelsnail; do
    smalti resume former/$run --training.total_steps 6
done
python "$here/expected.py" > expected.json

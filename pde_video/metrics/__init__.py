"""How good a result is: PSNR, SSIM, whiteness of what was removed."""
